//! A line within one process: for a demonstration of all tiers on one machine, and for tests. The same bytes go over it as over a network.

use super::{Desk, Line, LineError, message::MAX_MESSAGE};
use futures::future::BoxFuture;
use index::model::UtcMicros;
use std::{sync::Arc, time::Duration};
use tokio::sync::{mpsc, oneshot};

/// Questions that may wait at a desk; one more is refused with [`LineError::Busy`].
const WAITING: usize = 16;

/// The upper end of a line within the process.
#[derive(Clone, Debug)]
pub struct EmbeddedLine(mpsc::Sender<(Vec<u8>, oneshot::Sender<Vec<u8>>)>);

/// A line to a desk in this process, and the work at the desk's end, which lasts until every upper end is gone.
pub fn embedded(desk: Arc<Desk>) -> (EmbeddedLine, impl Future<Output = ()> + Send) {
    let (upper, mut lower) = mpsc::channel::<(Vec<u8>, oneshot::Sender<Vec<u8>>)>(WAITING);
    let work = async move {
        while let Some((question, asker)) = lower.recv().await {
            let desk = Arc::clone(&desk);
            let answered = tokio::task::spawn_blocking(move || desk.answer(&question, UtcMicros::now())).await;
            // Without an answer the asker is dropped, and hears so.
            if let Ok(Some(answer)) = answered {
                drop(asker.send(answer));
            }
        }
    };
    (EmbeddedLine(upper), work)
}

impl Line for EmbeddedLine {
    fn ask(&self, question: Vec<u8>, deadline: Duration) -> BoxFuture<'_, Result<Vec<u8>, LineError>> {
        Box::pin(async move {
            if question.len() > MAX_MESSAGE {
                return Err(LineError::Malformed("the question is longer than any message"));
            }
            let (asker, answer) = oneshot::channel();
            self.0.try_send((question, asker)).map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => LineError::Busy,
                mpsc::error::TrySendError::Closed(_) => LineError::Down,
            })?;
            match tokio::time::timeout(deadline, answer).await {
                Ok(Ok(answer)) => Ok(answer),
                Ok(Err(_)) => Err(LineError::Down),
                Err(_) => Err(LineError::Deadline),
            }
        })
    }
}
