//! What libavformat is kept from doing.

use super::{library::address, *};
use index::model::{Credentials, Secret, Transport};

fn target(url: &str) -> Target {
    Target {
        url: url.parse().expect("a url"),
        credentials: Some(Credentials { user: "admin".to_owned(), password: Secret::new("ca:n@ry/47") }),
        transport: Transport::Tcp,
        audio: false,
        metadata: false,
    }
}

#[test]
fn the_password_is_percent_encoded_and_reaches_no_error() {
    let target = target("rtsp://127.0.0.1:1/x");
    let address = address(&target).expect("an address");
    assert_eq!(address.to_str(), Ok("rtsp://admin:ca%3An%40ry%2F47@127.0.0.1:1/x"));
    let fault = Session::open(&target, Arc::default()).err().expect("nobody listens");
    assert_eq!(fault.cause(), index::model::GapCause::CameraUnreachable);
    assert!(!fault.to_string().contains("ry"), "{fault}");
}

/// Answers one connection's requests with a redirect to `elsewhere`, and counts them.
fn redirecting_camera(elsewhere: &str) -> (String, std::thread::JoinHandle<usize>) {
    use std::io::{BufRead as _, BufReader, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("rtsp://{}/x", listener.local_addr().expect("bound"));
    let location = format!("RTSP/1.0 302 Moved\r\nLocation: {elsewhere}\r\n");
    let camera = std::thread::spawn(move || {
        let (stream, _) = listener.accept().expect("it connects");
        let (mut answer, mut requests, mut number) = (stream.try_clone().expect("a socket"), 0, String::new());
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if line.starts_with("CSeq") {
                number = line;
            } else if line.is_empty() {
                requests += 1;
                answer.write_all(format!("{location}{number}\r\n\r\n").as_bytes()).expect("it listens");
            }
        }
        requests
    });
    (url, camera)
}

#[test]
fn q18_a_redirect_is_not_followed_because_nobody_asked_the_address_policy() {
    let elsewhere = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    elsewhere.set_nonblocking(true).expect("a listener");
    let (url, camera) = redirecting_camera(&format!("rtsp://{}/y", elsewhere.local_addr().expect("bound")));
    let fault = Session::open(&target(&url), Arc::default()).err().expect("there is nothing to play");
    assert!(fault.blames_driver(), "native knows what to do with it: {fault:?}");
    assert!(camera.join().expect("no panic") > 0, "it was asked");
    assert_eq!(elsewhere.accept().err().map(|error| error.kind()), Some(std::io::ErrorKind::WouldBlock));
}

#[tokio::test]
async fn a_camera_that_never_answers_is_left_as_soon_as_nobody_waits() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("rtsp://{}/x", listener.local_addr().expect("bound"));
    let target = target(&url);
    let opening = tokio::time::timeout(Duration::from_millis(200), open(&target));
    assert!(opening.await.is_err());
    let (mut camera, _) = listener.accept().expect("it connected");
    // The thread hangs up soon after, long before its own limit.
    camera.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout");
    let mut rest = Vec::new();
    std::io::Read::read_to_end(&mut camera, &mut rest).expect("it hung up");
}
