use super::*;
use index::{access::Actor, journal::Record};
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const SECRET: &str = "a secret of at least thirty-two characters";

/// A receiver that answers with the given statuses, the last one for ever, and keeps what it got: signature header, body.
struct Receiver {
    address: SocketAddr,
    got: Arc<Mutex<Vec<(String, String)>>>,
}

impl Receiver {
    async fn start(statuses: &'static [u16]) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let got = Arc::<Mutex<Vec<(String, String)>>>::default();
        let (keep, turn) = (Arc::clone(&got), AtomicUsize::new(0));
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let mut bytes = Vec::new();
                let (head, length) = loop {
                    let mut piece = [0; 4096];
                    let read = socket.read(&mut piece).await.unwrap_or(0);
                    bytes.extend_from_slice(&piece[..read]);
                    let text = String::from_utf8_lossy(&bytes).into_owned();
                    if let Some((head, body)) = text.split_once("\r\n\r\n") {
                        let field = |name: &str| {
                            let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with(name));
                            line.and_then(|line| line.split_once(": ")).map_or("", |(_, value)| value).to_owned()
                        };
                        let length: usize = field("content-length").parse().unwrap_or(0);
                        if body.len() >= length {
                            break (field("x-haohe-signature"), body.to_owned());
                        }
                    }
                    if read == 0 {
                        break (String::new(), String::new());
                    }
                };
                keep.lock().expect("no panic").push((head, length));
                let at = turn.fetch_add(1, Ordering::Relaxed).min(statuses.len() - 1);
                let answer = format!("HTTP/1.1 {} x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n", statuses[at]);
                let _ = socket.write_all(answer.as_bytes()).await;
            }
        });
        Self { address, got }
    }

    fn seqs(&self) -> Vec<u64> {
        let got = self.got.lock().expect("no panic");
        got.iter().filter_map(|(_, body)| serde_json::from_str::<Value>(body).ok()?["seq"].as_u64()).collect()
    }
}

struct Room {
    dir: tempfile::TempDir,
    journal: Arc<Journal>,
    commits: watch::Receiver<()>,
}

impl Room {
    fn new() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let dir = tempfile::tempdir().expect("a directory");
        let journal = Journal::open(&dir.path().join("journal"), NodeId::from_bytes([3; 16])).expect("a journal");
        let (ring, commits) = watch::channel(());
        journal.on_commit(move |_| ring.send_replace(()));
        Self { dir, journal, commits }
    }

    fn hooks(&self, receiver: &Receiver, network: &str) -> Hooks {
        let config = HookConfig {
            name: "dispatch".to_owned(),
            url: format!("http://{}/alarms", receiver.address).parse().expect("an address"),
            secret: Secret::new(SECRET),
            allow: AddressPolicy::new(vec![network.parse().expect("a network")]),
            authority: None,
        };
        Hooks::start(&self.dir.path().join("hooks"), &[config], &self.journal, &self.commits).expect("a directory")
    }

    async fn note(&self, kind: &'static str) -> u64 {
        let ticket = self.journal.append(Record::new(UtcMicros::now(), kind, json!({ "id": "1-1" })));
        tokio::task::spawn_blocking(move || ticket.wait()).await.expect("it ran").expect("durable").get()
    }

    fn kinds(&self) -> Vec<String> {
        self.journal.read(Seq::new(1), 100).expect("readable").into_iter().map(|entry| entry.kind).collect()
    }
}

async fn until(what: &str, met: impl Fn() -> bool) {
    let begun = std::time::Instant::now();
    while !met() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn alarms_are_told_once_each_in_order_signed_and_again_when_the_receiver_is_away() {
    let room = Room::new();
    room.note("alarm.raised").await;
    let receiver = Receiver::start(&[503, 200]).await;
    let hooks = room.hooks(&receiver, "127.0.0.0/8");
    let (first, second) = (room.note("alarm.raised").await, room.note("alarm.acknowledged").await);
    room.note("access.playback").await;
    until("both are told", || receiver.seqs().len() == 3).await;
    assert_eq!(
        receiver.seqs(),
        [first, first, second],
        "what was before the hook is not told, and a refusal for now is tried again"
    );
    let (signature, body) = receiver.got.lock().expect("no panic")[1].clone();
    let at: i64 = signature.trim_start_matches("t=").split(',').next().and_then(|at| at.parse().ok()).expect("a time");
    assert_eq!(signature, sign::signature(SECRET.as_bytes(), at, body.as_bytes()));
    assert!(!body.contains(SECRET));
    until("the number is kept", || hooks.states()[0].1.taken == 2).await;
    drop(hooks);
    // A restart goes on behind what was told.
    let hooks = room.hooks(&receiver, "127.0.0.0/8");
    let third = room.note("alarm.raised").await;
    until("the third is told", || hooks.states()[0].1.taken == 3).await;
    assert_eq!(receiver.seqs().last(), Some(&third));
    assert_eq!(receiver.seqs().len(), 4);
}

#[tokio::test]
async fn what_a_receiver_refuses_for_good_is_laid_aside_with_an_event_and_the_next_is_told() {
    let room = Room::new();
    let receiver = Receiver::start(&[410, 200]).await;
    let hooks = room.hooks(&receiver, "127.0.0.0/8");
    let (first, second) = (room.note("alarm.raised").await, room.note("alarm.raised").await);
    until("the second is told", || hooks.states()[0].1.taken == 1).await;
    assert_eq!(receiver.seqs(), [first, second]);
    let aside = hooks.states()[0].1.aside.clone();
    assert_eq!((aside.len(), aside[0].seq, aside[0].attempts, aside[0].status), (1, Seq::new(first), 1, Some(410)));
    assert!(aside[0].since.is_some());
    until("an event says so", || room.kinds().contains(&"hook.failed".to_owned())).await;
}

#[tokio::test]
async fn what_was_laid_aside_is_sent_again_or_discarded_by_a_person_and_the_journal_says_who() {
    let room = Room::new();
    let receiver = Receiver::start(&[410, 410, 500, 200]).await;
    let hooks = room.hooks(&receiver, "127.0.0.0/8");
    let (first, second) = (Seq::new(room.note("alarm.raised").await), Seq::new(room.note("alarm.raised").await));
    until("both are laid aside", || hooks.states()[0].1.aside.len() == 2).await;
    let by = Actor::Person { name: "admin".to_owned(), from: [192, 0, 2, 9].into() };
    assert_eq!(hooks.send_again(&by, "dispatch", first).await, Err(AsideError::NotTaken(Some(500))));
    let aside = hooks.states()[0].1.aside.clone();
    assert_eq!((aside[0].seq, aside[0].attempts, aside[0].status), (first, 2, Some(500)), "it stays, with the newest reason");
    assert_eq!(hooks.send_again(&by, "dispatch", first).await, Ok(()));
    assert_eq!(receiver.seqs(), [first, second, first, first].map(Seq::get), "the same message with the same number");
    assert_eq!(hooks.discard(&by, "dispatch", second).await, Ok(()));
    assert_eq!(hooks.discard(&by, "dispatch", second).await, Err(AsideError::Unknown), "once");
    assert_eq!(hooks.send_again(&by, "other", first).await, Err(AsideError::Unknown));
    let entries = room.journal.read(Seq::new(1), 100).expect("readable");
    let acts: Vec<_> =
        entries.iter().filter(|entry| matches!(entry.kind.as_str(), "hook.sent_again" | "hook.discarded")).collect();
    assert_eq!(acts.len(), 3);
    assert!(
        acts.iter().all(|entry| entry.body["hook"] == "dispatch" && entry.body["by"].to_string().contains("admin")),
        "{acts:?}"
    );
    assert_eq!((&acts[2].body["message"], acts[2].kind.as_str()), (&json!(second), "hook.discarded"));
    drop(hooks);
    let hooks = room.hooks(&receiver, "127.0.0.0/8");
    assert_eq!(hooks.states()[0].1.aside, [], "a restart brings nothing back");
}

#[test]
fn numbers_that_an_earlier_version_laid_aside_are_still_known() {
    let state: HookState =
        serde_json::from_value(json!({ "node": null, "seq": 9, "aside": [3, 7], "taken": 2, "failing": null })).expect("read");
    assert_eq!(state.aside.iter().map(|aside| aside.seq).collect::<Vec<_>>(), [Seq::new(3), Seq::new(7)]);
}

#[tokio::test]
async fn what_has_to_leave_the_list_for_newer_messages_is_counted_and_told_and_never_silent() {
    let room = Room::new();
    let receiver = Receiver::start(&[410]).await;
    let aside: Vec<u64> = (1..=ASIDE as u64).collect();
    let full = json!({ "node": room.journal.node(), "seq": 0, "aside": aside, "taken": 0, "failing": null });
    let dir = room.dir.path().join("hooks");
    std::fs::create_dir(&dir).expect("a directory");
    std::fs::write(file_of(&dir, "dispatch"), full.to_string()).expect("written");
    let hooks = room.hooks(&receiver, "127.0.0.0/8");
    let newest = room.note("alarm.raised").await;
    let told = || room.kinds().iter().filter(|kind| *kind == "hook.failed").count();
    until("one event about the message, one about what left the list", || told() == 2).await;
    let entries = room.journal.read(Seq::new(1), 100).expect("readable");
    assert!(entries.iter().any(|entry| entry.body["text"]["zh"].as_str().is_some_and(|text| text.contains("1 条已不在清单中"))));
    drop(hooks);
    let hooks = room.hooks(&receiver, "127.0.0.0/8");
    let state = hooks.states().remove(0).1;
    assert_eq!((state.aside.len(), state.left), (ASIDE, 1), "a restart forgets neither");
    assert_eq!((state.aside[0].seq, state.aside[ASIDE - 1].seq), (Seq::new(2), Seq::new(newest)), "the oldest left");
    assert!(worth_telling(&(0..1)) && !worth_telling(&(1..2)) && worth_telling(&(99..100)) && !worth_telling(&(5..5)));
}

#[tokio::test]
async fn a_receiver_outside_the_networks_it_may_be_in_is_told_nothing() {
    let room = Room::new();
    let receiver = Receiver::start(&[200]).await;
    let hooks = room.hooks(&receiver, "10.0.0.0/8");
    room.note("alarm.raised").await;
    until("the attempt failed", || hooks.states()[0].1.failing.is_some()).await;
    assert!(receiver.seqs().is_empty());
}
