//! How a receiver knows that a message is ours, whole, and new: HMAC-SHA256 (RFC 2104) over the time and the body.

use sha2::{Digest, Sha256};
use std::fmt::Write;

const BLOCK: usize = 64;

/// The header's value: `t=<seconds since 1970>,v1=<HMAC of "t.body" in hexadecimal>`.
#[must_use]
pub(super) fn signature(secret: &[u8], at_s: i64, body: &[u8]) -> String {
    let mut text = format!("t={at_s},v1=");
    for byte in hmac(secret, &[at_s.to_string().as_bytes(), b".", body]) {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn hmac(key: &[u8], message: &[&[u8]]) -> [u8; 32] {
    let mut block = [0; BLOCK];
    if key.len() > BLOCK {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let mut inner = Sha256::new();
    inner.update(block.map(|byte| byte ^ 0x36));
    message.iter().for_each(|part| inner.update(part));
    let mut outer = Sha256::new();
    outer.update(block.map(|byte| byte ^ 0x5c));
    outer.update(inner.finalize());
    outer.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
    }

    #[test]
    fn the_hmac_is_that_of_rfc_4231() {
        let cases: [(&[u8], &[u8], &str); 3] = [
            (&[0x0b; 20], b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
            (b"Jefe", b"what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
            (
                &[0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
        ];
        for (key, message, expected) in cases {
            assert_eq!(hex(&hmac(key, &[message])), expected);
        }
    }

    #[test]
    fn a_signature_is_of_the_time_and_the_body_together() {
        let one = signature(b"secret", 5, b"{}");
        assert!(one.starts_with("t=5,v1=") && one.len() == 7 + 64);
        assert_ne!(one.split(',').next_back(), signature(b"secret", 6, b"{}").split(',').next_back());
        assert_ne!(one, signature(b"other", 5, b"{}"));
    }
}
