//! The control port: a line of JSON in, a line of JSON out, on loopback. For scripts and measurements that run the fleet as
//! a program; tests in Rust use [`Fleet`] itself.
//!
//! - `{"op":"stats"}` gives the figures of [`crate::Stats`], rates since the last time;
//! - `{"op":"sent","stream":"3/main"}`, or without a stream for all that were ever played: the sent log;
//! - `{"op":"begin","fault":"silent","who":"3"}`, `{"op":"end",...}`, `{"op":"clear","who":"10%"}`;
//! - `{"op":"truth","camera":3,"from_us":0,"to_us":1}`: what happened before a camera.

use crate::{
    faults::{Fault, Who},
    sent::StreamLog,
    serve::Fleet,
};
use futures::{SinkExt, StreamExt};
use index::model::{StreamId, UtcMicros, Window};
use serde::{Deserialize, Serialize};
use std::{net::SocketAddr, sync::Arc};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::codec::{Framed, LinesCodec};

/// The longest line that is read.
const LINE: usize = 64 << 10;

/// What can be asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase", deny_unknown_fields)]
pub enum Order {
    /// The figures now.
    Stats,
    /// The sent log of one stream, or of all.
    Sent {
        /// Which stream; all that were ever played without one.
        stream: Option<StreamId>,
    },
    /// Lets a fault begin.
    Begin {
        /// As scripts write it: `drift=200`.
        fault: String,
        /// `all`, `3`, `1,2` or `10%`.
        who: String,
    },
    /// Lets a fault end.
    End {
        /// As in `Begin`.
        fault: String,
        /// As in `Begin`.
        who: String,
    },
    /// Lets every fault end.
    Clear {
        /// As in `Begin`.
        who: String,
    },
    /// What happened before a camera.
    Truth {
        /// Its number.
        camera: u32,
        /// From this instant on.
        from_us: UtcMicros,
        /// Up to this one.
        to_us: UtcMicros,
    },
}

/// Does what an order says: the reply, or a sentence on why not.
///
/// # Errors
/// The sentence, for an unknown fault or camera.
pub fn obey(fleet: &Fleet, order: Order) -> Result<serde_json::Value, String> {
    let who = |text: &str| text.parse::<Who>().map_err(|error| error.to_string());
    let fault = |text: &str| text.parse::<Fault>().map_err(|error| error.to_string());
    let done = serde_json::Value::Null;
    match order {
        Order::Stats => json(&fleet.stats()),
        Order::Sent { stream: None } => json(&fleet.sent_by_all()),
        Order::Sent { stream: Some(stream) } => json(&[fleet.sent(stream).ok_or("no such camera")?]),
        Order::Begin { fault: text, who: whom } => {
            fleet.begin(fault(&text)?, &who(&whom)?);
            Ok(done)
        }
        Order::End { fault: text, who: whom } => {
            fleet.end(fault(&text)?, &who(&whom)?);
            Ok(done)
        }
        Order::Clear { who: whom } => {
            fleet.clear(&who(&whom)?);
            Ok(done)
        }
        Order::Truth { camera, from_us, to_us } => json(&fleet.truth(camera, Window::new(from_us, to_us))),
    }
}

fn json(value: &impl Serialize) -> Result<serde_json::Value, String> {
    serde_json::to_value(value).map_err(|error| error.to_string())
}

/// Answers every client of `listener` until cancelled. Runs within a `LocalSet`.
pub async fn serve(listener: TcpListener, fleet: Arc<Fleet>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::task::spawn_local(converse(stream, fleet.clone()))),
            // Out of file descriptors, for example: do not spin.
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
        }
    }
}

async fn converse(stream: TcpStream, fleet: Arc<Fleet>) {
    let mut lines = Framed::new(stream, LinesCodec::new_with_max_length(LINE));
    while let Some(Ok(line)) = lines.next().await {
        let result = serde_json::from_str(&line).map_err(|error| error.to_string()).and_then(|order| obey(&fleet, order));
        let reply = match result {
            Ok(value) => serde_json::json!({ "ok": value }),
            Err(sentence) => serde_json::json!({ "error": sentence }),
        };
        if lines.send(reply.to_string()).await.is_err() {
            return;
        }
    }
}

/// Asks a fleet at `control` for its sent log.
///
/// # Errors
/// When nothing answers there, or no fleet.
pub async fn sent_log(control: SocketAddr) -> std::io::Result<Vec<StreamLog>> {
    Ok(serde_json::from_value(tell(control, &Order::Sent { stream: None }).await?)?)
}

/// Gives a fleet at `control` an order, and gives back its answer.
///
/// # Errors
/// When nothing answers there, or no fleet; or what the fleet has against the order.
pub async fn tell(control: SocketAddr, order: &Order) -> std::io::Result<serde_json::Value> {
    let mut lines = Framed::new(TcpStream::connect(control).await?, LinesCodec::new());
    lines.send(serde_json::to_string(order)?).await.map_err(std::io::Error::other)?;
    let line = lines.next().await.ok_or(std::io::ErrorKind::UnexpectedEof)?.map_err(std::io::Error::other)?;
    let mut reply: serde_json::Value = serde_json::from_str(&line)?;
    match reply["error"].as_str() {
        Some(sentence) => Err(std::io::Error::other(sentence)),
        None => Ok(reply["ok"].take()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::FleetSpec;

    #[test]
    fn orders_are_obeyed_and_nonsense_gets_a_sentence() {
        let fleet = Fleet::start(FleetSpec::tiny(2)).expect("a fleet");
        let ask = |text: &str| serde_json::from_str(text).map_err(|e| e.to_string()).and_then(|order| obey(&fleet, order));
        assert_eq!(ask(r#"{"op":"stats"}"#).expect("figures")["sessions"], 0);
        assert!(ask(r#"{"op":"begin","fault":"drift=200","who":"1"}"#).is_ok());
        assert!(ask(r#"{"op":"clear","who":"all"}"#).is_ok());
        assert!(ask(r#"{"op":"sent","stream":"2/sub"}"#).is_ok());
        let now = UtcMicros::now().as_micros();
        let truth = ask(&format!(r#"{{"op":"truth","camera":1,"from_us":{now},"to_us":{}}}"#, now + 4_000_000));
        assert!(truth.expect("a list").as_array().is_some_and(|list| !list.is_empty()));
        for nonsense in
            ["", "{}", r#"{"op":"begin","fault":"x","who":"1"}"#, r#"{"op":"sent","stream":"3/main"}"#, r#"{"op":"quit"}"#]
        {
            assert!(ask(nonsense).is_err(), "{nonsense}");
        }
    }
}
