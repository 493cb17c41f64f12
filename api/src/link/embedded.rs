//! A line within one process: for a demonstration of all tiers on one machine, and for tests. The same bytes go over it as over a network.

use super::{Desk, Line, LineError, message::MAX_MESSAGE};
use futures::future::BoxFuture;
use std::{sync::Arc, time::Duration};
use tokio::sync::{Semaphore, mpsc, oneshot};

/// Questions that may wait at a desk; one more is refused with [`LineError::Busy`].
const WAITING: usize = 16;
/// Questions that are being answered at once.
const AT_ONCE: usize = 64;

/// The upper end of a line within the process.
#[derive(Clone, Debug)]
pub struct EmbeddedLine(mpsc::Sender<(Vec<u8>, oneshot::Sender<Vec<u8>>)>);

/// A line to a desk in this process, and the work at the desk's end, which lasts until every upper end is gone.
pub fn embedded(desk: Arc<Desk>) -> (EmbeddedLine, impl Future<Output = ()> + Send) {
    let (upper, mut lower) = mpsc::channel::<(Vec<u8>, oneshot::Sender<Vec<u8>>)>(WAITING);
    let work = async move {
        let turns = Arc::new(Semaphore::new(AT_ONCE));
        while let Some((question, asker)) = lower.recv().await {
            let Ok(turn) = Arc::clone(&turns).acquire_owned().await else { return };
            let desk = Arc::clone(&desk);
            // Some answers wait for a camera; others must not wait for those. Without an answer the asker is dropped, and hears so.
            tokio::spawn(async move {
                if let Some(answer) = desk.reply(question).await {
                    drop(asker.send(answer));
                }
                drop(turn);
            });
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
