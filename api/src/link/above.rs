//! The lower node's side of its line: once it has joined, it dials the node above and answers what it asks.

use super::{Desk, leaf::Leaf, nats, papers::Papers};
use index::model::NodeId;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio_util::sync::CancellationToken;

/// How often it is looked whether the node has joined, or joined anew: `haohe join` works beside a running node.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Serves the node above until told to stop, from the moment there is one. `dir` is the node's directory of the link, `program` its NATS
/// server.
pub async fn serve(dir: PathBuf, program: PathBuf, node: NodeId, desk: Arc<Desk>, stop: CancellationToken) {
    let mut serving: Option<(String, Leaf, CancellationToken)> = None;
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
        if serving.as_ref().is_some_and(|(certificate, ..)| *certificate == papers.certificate) {
            continue;
        }
        end(serving.take()).await;
        match dial(&dir, &program, node, &papers).await {
            Ok((leaf, client)) => {
                told = false;
                tracing::info!(upper = papers.upper_name, node = %papers.upper, broker = papers.broker, "this node serves the one above");
                let end = stop.child_token();
                tokio::spawn(nats::serve(client, node, Arc::clone(&desk), end.clone()));
                serving = Some((papers.certificate, leaf, end));
            }
            Err(error) if !std::mem::replace(&mut told, true) => {
                tracing::error!(error = format!("{error:#}"), "this node cannot be reached from above; everything else goes on");
            }
            Err(_) => {}
        }
    }
    end(serving).await;
}

/// Starts the node's leaf and connects to it. Whether the centre is there shows later, and is tried for ever.
async fn dial(dir: &Path, program: &Path, node: NodeId, papers: &Papers) -> anyhow::Result<(Leaf, async_nats::Client)> {
    let (dir, program, papers) = (dir.to_owned(), program.to_owned(), papers.clone());
    let leaf = tokio::task::spawn_blocking(move || Leaf::start(&program, &dir, node, &papers)).await??;
    let client = nats::connect_to_leaf(&leaf, node).await?;
    Ok((leaf, client))
}

/// Ending a leaf waits for its process.
async fn end(serving: Option<(String, Leaf, CancellationToken)>) {
    let Some((_, leaf, serving)) = serving else { return };
    serving.cancel();
    if tokio::task::spawn_blocking(move || drop(leaf)).await.is_err() {
        tracing::warn!("the line to the node above did not end cleanly");
    }
}

async fn read(dir: &Path) -> anyhow::Result<Option<Papers>> {
    let dir = dir.to_owned();
    tokio::task::spawn_blocking(move || Papers::read(&dir)).await?
}
