//! The lower node's side of its line: once it has joined, it dials the node above and answers what it asks.

use super::{Desk, nats, papers::Papers};
use index::model::NodeId;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio_util::sync::CancellationToken;

/// How often it is looked whether the node has joined, or joined anew: `haohe join` works beside a running node.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Serves the node above until told to stop, from the moment there is one. `dir` is the node's directory of the link.
pub async fn serve(dir: PathBuf, node: NodeId, desk: Arc<Desk>, stop: CancellationToken) {
    let mut serving: Option<(String, CancellationToken)> = None;
    let mut turns = tokio::time::interval(LOOK_EVERY);
    let mut told = false;
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            _ = turns.tick() => {}
        }
        let papers = match read(&dir).await {
            Ok(papers) => papers,
            Err(error) => {
                if !std::mem::replace(&mut told, true) {
                    tracing::error!(
                        error = format!("{error:#}"),
                        "this node cannot be reached from above; everything else goes on"
                    );
                }
                continue;
            }
        };
        let Some(papers) = papers else { continue };
        desk.is_below(papers.upper_tier);
        if serving.as_ref().is_some_and(|(certificate, _)| *certificate == papers.certificate) {
            continue;
        }
        if let Some((_, old)) = serving.take() {
            old.cancel();
        }
        match nats::connect(&papers, node).await {
            Ok(client) => {
                told = false;
                tracing::info!(upper = papers.upper_name, node = %papers.upper, broker = papers.broker, "this node serves the one above");
                let end = stop.child_token();
                tokio::spawn(nats::serve(client, node, Arc::clone(&desk), end.clone()));
                serving = Some((papers.certificate, end));
            }
            Err(error) if !std::mem::replace(&mut told, true) => {
                tracing::error!(error = format!("{error:#}"), "this node cannot be reached from above; everything else goes on");
            }
            Err(_) => {}
        }
    }
}

async fn read(dir: &Path) -> anyhow::Result<Option<Papers>> {
    let dir = dir.to_owned();
    tokio::task::spawn_blocking(move || Papers::read(&dir)).await?
}
