//! Oddities of replies.

use super::{Act::Reply as In, Quirk};
use crate::rtsp::Reply;

fn set(reply: &mut Reply, name: &str, value: impl Fn(&str) -> String) {
    reply.replace(name, |old| Some(value(old)));
}

fn remove(reply: &mut Reply, name: &str) {
    reply.replace(name, |_| None);
}

pub(super) const TABLE: &[Quirk] = &[
    Quirk {
        id: "Q01",
        says: "Content-Base without scheme (moonfire-nvr#356)",
        acts: In("DESCRIBE", |reply| set(reply, "Content-Base", |base| base.replacen("rtsp://", "", 1))),
    },
    Quirk {
        id: "Q02",
        says: "Content-Base with the scheme twice (go2rtc#208)",
        acts: In("DESCRIBE", |reply| set(reply, "Content-Base", |base| format!("rtsp://{base}"))),
    },
    Quirk {
        id: "Q03",
        says: "Content-Base with a bare IPv6 address (WebRTC#395)",
        acts: In("DESCRIBE", |reply| set(reply, "Content-Base", |base| base.replacen("rtsp://", "rtsp://::ffff:", 1))),
    },
    Quirk {
        id: "Q04",
        says: "Content-Base is empty (mediamtx#825)",
        acts: In("DESCRIBE", |reply| set(reply, "Content-Base", |_| String::new())),
    },
    Quirk {
        id: "Q05",
        says: "Content-Base is relative (gortsplib#636)",
        acts: In("DESCRIBE", |reply| {
            set(reply, "Content-Base", |base| base.splitn(4, '/').nth(3).map_or_else(String::new, |path| format!("/{path}")));
        }),
    },
    Quirk {
        id: "Q06",
        says: "Content-Base names a private address behind NAT (zoneminder#685)",
        acts: In("DESCRIBE", |reply| {
            set(reply, "Content-Base", |base| {
                format!("rtsp://10.255.0.1:554/{}", base.splitn(4, '/').nth(3).unwrap_or_default())
            });
        }),
    },
    Quirk {
        id: "Q09a",
        says: "DESCRIBE without Content-Type (retina 0.4.7)",
        acts: In("DESCRIBE", |reply| remove(reply, "Content-Type")),
    },
    Quirk {
        id: "Q09b",
        says: "Content-Type with a charset and capitals",
        acts: In("DESCRIBE", |reply| set(reply, "Content-Type", |_| "Application/SDP; charset=utf-8".into())),
    },
    Quirk {
        id: "Q11",
        says: "CSeq spelled Cseq, with trailing spaces (go2rtc#7, retina#77)",
        acts: In("*", |reply| {
            for (name, value) in &mut reply.headers {
                if name == "CSeq" {
                    *name = "Cseq".into();
                    value.push_str("  ");
                }
            }
        }),
    },
    Quirk { id: "Q12a", says: "lines end in LF alone", acts: In("*", |reply| reply.line_end = "\n") },
    Quirk { id: "Q12b", says: "status without reason", acts: In("*", |reply| reply.reason = None) },
    Quirk { id: "Q12c", says: "the banner says RTSP/2.0", acts: In("*", |reply| reply.banner = "RTSP/2.0".into()) },
    Quirk {
        id: "Q12d",
        says: "header names in capitals (mediamtx#8)",
        acts: In("*", |reply| reply.headers.iter_mut().for_each(|(name, _)| name.make_ascii_uppercase())),
    },
    Quirk {
        id: "Q13",
        says: "Basic and Digest challenges in two headers (retina#25)",
        acts: In("*", |reply| {
            if reply.status == 401 {
                reply.headers.insert(1, ("WWW-Authenticate".into(), "Basic realm=\"camera\"".into()));
            }
        }),
    },
    Quirk {
        id: "Q14",
        says: "a challenge of an unknown algorithm before the good one (gortsplib#524, mediamtx#3116)",
        acts: In("*", |reply| {
            if reply.status == 401 {
                let odd = "Digest realm=\"camera\", nonce=\"0\", algorithm=SM3";
                reply.headers.insert(1, ("WWW-Authenticate".into(), odd.into()));
            }
        }),
    },
    Quirk {
        id: "Q42",
        says: "Session with blanks and odd parameters",
        acts: In("*", |reply| set(reply, "Session", |value| format!("{} ;foo=1", value.replace('=', " = ")))),
    },
    Quirk {
        id: "Q43",
        says: "ssrc with a blank and without leading zeros (retina#128, Hikvision)",
        acts: In("SETUP", |reply| set(reply, "Transport", |value| value.replace("ssrc=", "ssrc= ").replace("= 0", "= "))),
    },
    Quirk {
        id: "Q43b",
        says: "ssrc is another one than that of the packets (retina#120)",
        acts: In("SETUP", |reply| {
            set(reply, "Transport", |value| format!("{};ssrc=12345678", value.split(";ssrc").next().unwrap_or_default()));
        }),
    },
    Quirk {
        id: "Q44",
        says: "Transport with blanks after the semicolons",
        acts: In("SETUP", |reply| set(reply, "Transport", |value| value.replace(';', "; "))),
    },
    Quirk {
        id: "Q45",
        says: "no channels in the reply for TCP",
        acts: In("SETUP", |reply| {
            set(reply, "Transport", |value| {
                value.split(';').filter(|part| !part.starts_with("interleaved")).collect::<Vec<_>>().join(";")
            });
        }),
    },
    Quirk {
        id: "Q46b",
        says: "RTP/AVP for TCP, and one channel number (Escam Q6)",
        acts: In("SETUP", |reply| {
            set(reply, "Transport", |value| {
                let single = |part: &str| match part.strip_prefix("interleaved=") {
                    Some(pair) => format!("interleaved={}", pair.split('-').next().unwrap_or_default()),
                    None => part.replace("RTP/AVP/TCP", "RTP/AVP"),
                };
                value.split(';').map(single).collect::<Vec<_>>().join(";")
            });
        }),
    },
    Quirk {
        id: "Q47",
        says: "no server_port in the reply for UDP (mediamtx#407)",
        acts: In("SETUP", |reply| {
            set(reply, "Transport", |value| {
                value.split(';').filter(|part| !part.starts_with("server_port")).collect::<Vec<_>>().join(";")
            });
        }),
    },
    Quirk {
        id: "Q49",
        says: "source is a host name (mediamtx#5304)",
        acts: In("SETUP", |reply| set(reply, "Transport", |value| format!("{value};source=camera.local"))),
    },
    Quirk {
        id: "Q50a",
        says: "RTP-Info without url (moonfire-nvr#224)",
        acts: In("PLAY", |reply| {
            set(reply, "RTP-Info", |value| value.split_once(';').map_or_else(String::new, |(_, rest)| rest.to_owned()));
        }),
    },
    Quirk {
        id: "Q50b",
        says: "RTP-Info with a trailing semicolon and blanks (retina#117)",
        acts: In("PLAY", |reply| set(reply, "RTP-Info", |value| format!("{};", value.replace(';', "; ")))),
    },
    Quirk {
        id: "Q50c",
        says: "RTP-Info with a negative sequence number (mediamtx#333)",
        acts: In("PLAY", |reply| set(reply, "RTP-Info", |value| value.replace("seq=", "seq=-"))),
    },
    Quirk {
        id: "Q51",
        says: "RTP-Info always says seq=0 and rtptime=0 (Hikvision DS-2CD2032-I)",
        acts: In("PLAY", |reply| {
            set(reply, "RTP-Info", |value| format!("{};seq=0;rtptime=0", value.split(';').next().unwrap_or_default()));
        }),
    },
    Quirk { id: "Q52", says: "PLAY without RTP-Info", acts: In("PLAY", |reply| remove(reply, "RTP-Info")) },
    Quirk {
        id: "Q61",
        says: "answers SET_PARAMETER and GET_PARAMETER with 400 (Tapo)",
        acts: In("GET_PARAMETER", |reply| (reply.status, reply.reason) = (400, Some("Bad Request".into()))),
    },
    Quirk {
        id: "Q63",
        says: "keepalive replies with another CSeq (frigate#1605)",
        acts: In("GET_PARAMETER", |reply| {
            set(reply, "CSeq", |value| format!("{}", value.parse().unwrap_or(9u32).wrapping_sub(6)));
        }),
    },
    Quirk {
        id: "Q64",
        says: "keepalive gets 454 while media flows",
        acts: In("GET_PARAMETER", |reply| (reply.status, reply.reason) = (454, Some("Session Not Found".into()))),
    },
];
