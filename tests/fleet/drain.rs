//! The cheapest client there can be: it plays many streams and throws the bytes away. It shows what the fleet itself
//! can carry, without the cost of a real client.

use std::{io, net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::{JoinSet, LocalSet},
};

/// What was drained.
#[derive(Clone, Copy, PartialEq, Debug, Default, serde::Serialize)]
pub struct Drained {
    /// Sessions that played to the end.
    pub sessions: u64,
    /// Sessions that could not be played, or broke.
    pub failed: u64,
    /// Bytes received, replies included.
    pub bytes: u64,
}

/// Plays `streams` (`cam/1/main`, ...) of a fleet over TCP for `lasting`, and counts.
///
/// # Errors
/// When no runtime can be had. Sessions that fail are counted.
pub fn drain(fleet: SocketAddr, streams: Vec<String>, lasting: Duration) -> io::Result<Drained> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = LocalSet::new();
    let total = local.block_on(&runtime, async {
        let mut sessions = JoinSet::new();
        let end = tokio::time::Instant::now() + lasting;
        for stream in streams {
            sessions.spawn_local(play(fleet, stream, end));
        }
        let mut total = Drained::default();
        while let Some(result) = sessions.join_next().await {
            match result {
                Ok(Ok(bytes)) => {
                    total.sessions += 1;
                    total.bytes += bytes;
                }
                _ => total.failed += 1,
            }
        }
        total
    });
    Ok(total)
}

async fn play(fleet: SocketAddr, stream: String, end: tokio::time::Instant) -> io::Result<u64> {
    let mut socket = TcpStream::connect(fleet).await?;
    let url = format!("rtsp://{fleet}/{stream}");
    let set_up = format!("SETUP {url}/trackID=0 RTSP/1.0\r\nCSeq: 1\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n\r\n");
    let reply = ask(&mut socket, &set_up).await?;
    let session = reply.lines().find_map(|line| line.strip_prefix("Session: ")?.split(';').next());
    let session = session.ok_or_else(|| io::Error::other("no session"))?.to_owned();
    socket.write_all(format!("PLAY {url} RTSP/1.0\r\nCSeq: 2\r\nSession: {session}\r\n\r\n").as_bytes()).await?;
    let mut buffer = vec![0; 64 << 10];
    let mut bytes = 0;
    let mut alive = tokio::time::interval(Duration::from_secs(20));
    loop {
        tokio::select! {
            biased;
            () = tokio::time::sleep_until(end) => return Ok(bytes),
            _ = alive.tick() => {
                let text = format!("GET_PARAMETER {url} RTSP/1.0\r\nCSeq: 3\r\nSession: {session}\r\n\r\n");
                socket.write_all(text.as_bytes()).await?;
            }
            read = socket.read(&mut buffer) => match read? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                more => bytes += more as u64,
            },
        }
    }
}

async fn ask(socket: &mut TcpStream, request: &str) -> io::Result<String> {
    socket.write_all(request.as_bytes()).await?;
    let mut reply = Vec::new();
    while !reply.ends_with(b"\r\n\r\n") {
        reply.push(socket.read_u8().await?);
    }
    Ok(String::from_utf8_lossy(&reply).into_owned())
}
