//! A line between machines: questions and answers over a NATS broker at the upper node, which the lower one's leaf dials.
//!
//! The lower node opens no port. Broker and leaf show each other a certificate of the upper node's authority, and believe no other; the
//! broker lets each speak and hear only as itself ([`super::broker`]). Each node is a client of the server beside it.

use super::{
    Desk, Line, LineError,
    broker::{answered_on, asked_on},
    leaf::{self, Leaf},
    message::MAX_MESSAGE,
    papers::Papers,
};
use anyhow::Context;
use async_nats::{Client, ConnectOptions, Event, Request, RequestErrorKind, client::RequestError};
use futures::{StreamExt, future::BoxFuture};
use index::model::NodeId;
use std::{sync::Arc, time::Duration};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// Questions that may wait at a desk.
const WAITING: usize = 64;
/// Questions that are being answered at once.
const AT_ONCE: usize = 64;
/// A connection that says nothing for so long is looked at.
const PING: Duration = Duration::from_secs(10);
/// The first and the longest wait between two tries to connect.
const AGAIN: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(15));

/// Connects a centre to its own broker, now or whenever it can be reached, and again whenever it was lost.
///
/// # Errors
/// If the papers are no certificates.
pub async fn connect(papers: &Papers, node: NodeId) -> anyhow::Result<Client> {
    let options = options(node).custom_inbox_prefix(answered_on(node)).require_tls(true).tls_client_config(papers.tls()?);
    options.connect(format!("tls://{}", papers.broker)).await.context("connect to the broker")
}

/// Connects a node to its own leaf in the same way. Where that leads to is another matter: questions come when they come.
///
/// # Errors
/// If the client cannot be made.
pub async fn connect_to_leaf(leaf: &Leaf, node: NodeId) -> anyhow::Result<Client> {
    let (address, word) = leaf.own_address();
    let options = options(node).user_and_password(leaf::NAME.to_owned(), word.to_owned());
    options.connect(format!("nats://{address}")).await.context("connect to the leaf")
}

fn options(node: NodeId) -> ConnectOptions {
    ConnectOptions::new()
        .name(node.to_string())
        .ignore_discovered_servers()
        .retry_on_initial_connect()
        .ping_interval(PING)
        .connection_timeout(Duration::from_secs(10))
        .subscription_capacity(WAITING)
        .reconnect_delay_callback(|tries| AGAIN.0.saturating_mul(1 << tries.min(10)).min(AGAIN.1))
        .event_callback(|event| async move {
            match event {
                Event::Connected => tracing::debug!("connected to this node's own NATS server"),
                Event::Disconnected => {
                    tracing::warn!("the connection to this node's own NATS server is lost and tried again; nothing is lost");
                }
                Event::SlowConsumer(_) | Event::ServerError(_) | Event::ClientError(_) => {
                    tracing::warn!(%event, "the connection to this node's own NATS server has trouble");
                }
                _ => {}
            }
        })
}

/// The upper end of a line to one node.
pub struct NatsLine {
    client: Client,
    subject: String,
}

impl NatsLine {
    /// To a node, through a broker that this centre is connected to.
    #[must_use]
    pub fn to(client: Client, node: NodeId) -> Self {
        Self { client, subject: asked_on(node) }
    }
}

impl Line for NatsLine {
    fn ask(&self, question: Vec<u8>, deadline: Duration) -> BoxFuture<'_, Result<Vec<u8>, LineError>> {
        Box::pin(async move {
            if question.len() > MAX_MESSAGE {
                return Err(LineError::Malformed("the question is longer than any message"));
            }
            let request = Request::new().payload(question.into()).timeout(Some(deadline));
            let asked = self.client.send_request(self.subject.clone(), request);
            // The library's own deadline begins when it has sent: a broker that is away must not hold us longer.
            match tokio::time::timeout(deadline, asked).await {
                Ok(Ok(answer)) if answer.payload.len() > MAX_MESSAGE => {
                    Err(LineError::Malformed("it is longer than any message"))
                }
                Ok(Ok(answer)) => Ok(answer.payload.to_vec()),
                Ok(Err(error)) => Err(failed(&error)),
                Err(_) => Err(LineError::Deadline),
            }
        })
    }
}

fn failed(error: &RequestError) -> LineError {
    match error.kind() {
        RequestErrorKind::TimedOut => LineError::Deadline,
        RequestErrorKind::NoResponders => LineError::Down,
        _ => LineError::Malformed("the broker does not carry it"),
    }
}

/// Answers at a desk whatever is asked over a broker until told to stop: some answers wait for a camera, and others not for those.
pub async fn serve(client: Client, node: NodeId, desk: Arc<Desk>, stop: CancellationToken) {
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        let subscribed = client.subscribe(asked_on(node)).await;
        let Ok(mut questions) = subscribed.inspect_err(|error| tracing::error!(%error, "questions from above cannot be heard"))
        else {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(AGAIN.1) => continue,
            }
        };
        loop {
            let question = tokio::select! {
                () = stop.cancelled() => return,
                question = questions.next() => question,
            };
            let Some(question) = question else { break };
            let Some(reply) = question.reply.filter(|_| question.payload.len() <= MAX_MESSAGE) else { continue };
            let Ok(turn) = Arc::clone(&turns).acquire_owned().await else { return };
            let (desk, client) = (Arc::clone(&desk), client.clone());
            tokio::spawn(async move {
                // What is no question gets no answer. What cannot be sent is asked again.
                if let Some(answer) = desk.reply(question.payload.to_vec()).await
                    && let Err(error) = client.publish(reply, answer.into()).await
                {
                    tracing::debug!(%error, "an answer could not be sent");
                }
                drop(turn);
            });
        }
    }
}
