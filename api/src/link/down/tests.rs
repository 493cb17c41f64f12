//! Requests over lines within the process: what is lost is asked for again, what is far is reached, what is too much is refused.

use super::{budget::Budget, *};
use crate::link::{Desk, Line, LineError, embedded, message::Named, roster::Roster};
use axum::{Router, body::Body as HttpBody, extract::Extension, routing::get};
use bytes::Bytes;
use futures::{StreamExt, future::BoxFuture};
use index::{
    journal::{Copies, CopyLimits, History, Journal, JournalLimits, SimDisk},
    model::Tier,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

fn id(n: u8) -> NodeId {
    NodeId::from_bytes([n; 16])
}

fn history(n: u8) -> Arc<dyn History> {
    Journal::open_simulated(&SimDisk::new(u64::from(n)), id(n), JournalLimits::default()).expect("a new journal")
}

fn asker() -> Asker {
    Asker {
        node: id(3),
        node_name: "崇川区中心".to_owned(),
        person: "li".to_owned(),
        display: "李".to_owned(),
        unit: String::new(),
        login: "login-1".to_owned(),
        from: IpAddr::from([192, 0, 2, 9]),
        category: Category::Duty,
        text: "夜间巡查".to_owned(),
        case: None,
        cameras: None,
    }
}

fn get_of(uri: &str) -> Request {
    Request { method: "GET".to_owned(), uri: uri.to_owned(), range: None, if_range: None, body: String::new() }
}

fn film() -> Vec<u8> {
    (0..1_500_000_u32).map(|n| (n ^ (n >> 8)) as u8).collect()
}

/// A room that has a film of a megabyte and a half, and counts how often it was asked for it.
fn room(times: &Arc<AtomicUsize>) -> Arc<Answers> {
    let times = Arc::clone(times);
    let film = move |Extension(above): Extension<FromAbove>| async move {
        times.fetch_add(1, Ordering::Relaxed);
        assert_eq!(above.person.name, "li@崇川区中心");
        let pieces: Vec<_> = film().chunks(70_001).map(|piece| Ok::<_, std::io::Error>(Bytes::copy_from_slice(piece))).collect();
        HttpBody::from_stream(futures::stream::iter(pieces))
    };
    let torn = || async {
        let pieces = [Ok(Bytes::from_static(b"begun")), Err(std::io::Error::other("the disk"))];
        HttpBody::from_stream(futures::stream::iter(pieces))
    };
    let router = Router::new().route("/api/v1/film", get(film)).route("/api/v1/torn", get(torn));
    Arc::new(Answers::new(id(1), router, Vec::new(), Vec::new, &Arc::new(Budget::new(None))))
}

fn line_to(desk: Desk) -> Arc<dyn Line> {
    let (line, work) = embedded(Arc::new(desk));
    tokio::spawn(work);
    Arc::new(line)
}

fn named(n: u8, tier: Tier) -> Named {
    Named { node: id(n), name: format!("节点 {n}"), tier }
}

/// A centre with a line to a neighbour, behind which further rooms are.
fn centre(n: u8, neighbour: u8, line: Arc<dyn Line>, behind: &[u8]) -> Arc<Down> {
    let roster = Arc::new(Roster::default());
    roster.admit(named(neighbour, Tier::Room));
    let peer = crate::link::pull::Peer { node: id(neighbour), carries: true };
    let offers = behind.iter().map(|n| crate::link::message::Offered {
        node: id(*n),
        tail: index::journal::Seq::new(0),
        hash: index::journal::Hash::ZERO,
        complete_to: index::model::UtcMicros::MIN,
        trouble: None,
    });
    roster.fed_by(peer, offers.collect());
    roster.learn(peer, behind.iter().map(|n| named(*n, Tier::Room)).collect());
    let down = Arc::new(Down::new(id(n), roster));
    down.add(id(neighbour), line);
    down
}

/// A line that loses every so many answers, after the other end has made them.
struct Lossy(Arc<dyn Line>, usize, AtomicUsize);

impl Line for Lossy {
    fn ask(&self, question: Vec<u8>, deadline: Duration) -> BoxFuture<'_, Result<Vec<u8>, LineError>> {
        Box::pin(async move {
            let answer = self.0.ask(question, deadline).await?;
            let lost = self.2.fetch_add(1, Ordering::Relaxed).is_multiple_of(self.1);
            if lost { Err(LineError::Deadline) } else { Ok(answer) }
        })
    }
}

#[tokio::test]
async fn a_body_comes_whole_and_its_request_is_begun_once_however_many_answers_the_line_loses() {
    let times = Arc::default();
    let line = line_to(Desk::of_room(history(1)).answering(room(&times)));
    let down = centre(3, 1, Arc::new(Lossy(line, 2, AtomicUsize::new(0))), &[]);
    let opened = down.open(id(1), asker(), get_of("/api/v1/film")).await.expect("an answer");
    assert_eq!(opened.status, 200);
    assert!(opened.body.whole(2_000_000).await.expect("all of it") == film());
    assert_eq!(times.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_room_is_reached_through_the_centre_between_and_a_line_that_is_down_is_named() {
    let times = Arc::default();
    let line = line_to(Desk::of_room(history(1)).answering(room(&times)));
    let between = centre(2, 1, line, &[]);
    let copies = Arc::new(Copies::open_simulated(&SimDisk::new(2), CopyLimits::default()).expect("they open"));
    let desk = Desk::of_centre(history(2), copies, Arc::default()).handing_on(Relays::new(
        between,
        Arc::default(),
        Arc::new(Budget::new(None)),
    ));
    let down = centre(3, 2, line_to(desk), &[1, 4]);
    let opened = down.open(id(1), asker(), get_of("/api/v1/film")).await.expect("an answer");
    let bytes: Vec<Bytes> = opened.body.stream().map(|part| part.expect("a part")).collect().await;
    assert!(bytes.concat() == film());
    assert!(bytes.iter().all(|part| part.len() <= MAX_PART));
    let refused = down.ask(id(4), Say::Cameras, Duration::from_secs(5)).await;
    assert_eq!(refused.map(drop), Err(Unreached { by: id(2), why: No::UnknownNode }));
    assert_eq!(down.ask(id(9), Say::Cameras, Duration::from_secs(5)).await.map(drop).map_err(|no| no.by), Err(id(3)));
}

#[tokio::test]
async fn what_breaks_off_in_the_room_breaks_off_here_and_is_not_taken_for_the_whole() {
    let line = line_to(Desk::of_room(history(1)).answering(room(&Arc::default())));
    let down = centre(3, 1, line, &[]);
    let opened = down.open(id(1), asker(), get_of("/api/v1/torn")).await.expect("an answer");
    let pieces: Vec<_> = opened.body.stream().collect().await;
    assert_eq!(pieces, [Ok(Bytes::from_static(b"begun")), Err(Unreached { by: id(1), why: No::Broken })]);
}

#[tokio::test]
async fn more_bodies_than_a_room_keeps_are_refused_until_one_is_closed_and_a_place_that_went_is_not_given_again() {
    let room = room(&Arc::default());
    let wait = Duration::from_secs(20);
    let open = |handle| Say::Open { handle, asker: Box::new(asker()), request: Box::new(get_of("/api/v1/film")) };
    let mut handle = 0;
    let refused = loop {
        match room.answer(open(handle), wait).await.0 {
            Reply::Opened { end: false, .. } => handle += 1,
            other => break other,
        }
    };
    assert_eq!(refused, Reply::No { by: id(1), why: No::Busy });
    assert!(handle >= 32, "so many at least: {handle}");
    assert_eq!(room.answer(Say::Close { handle: 0 }, wait).await.0, Reply::Closed);
    assert!(matches!(room.answer(open(handle), wait).await.0, Reply::Opened { .. }));
    let next = |from| Say::Next { handle: 1, from };
    assert!(matches!(room.answer(next(MAX_PART as u64), wait).await.0, Reply::Part { .. }));
    assert!(matches!(room.answer(next(MAX_PART as u64), wait).await.0, Reply::Part { .. }), "the newest again (D1)");
    assert_eq!(room.answer(next(0), wait).await.0, Reply::No { by: id(1), why: No::Gone });
    assert_eq!(room.answer(Say::Next { handle: 0, from: 0 }, wait).await.0, Reply::No { by: id(1), why: No::Gone });
}

#[tokio::test]
async fn what_is_no_request_to_a_rooms_resources_is_not_answered() {
    let room = room(&Arc::default());
    let ask = |asker: Asker, request: Request| {
        room.answer(
            Say::Open { handle: rand::random(), asker: Box::new(asker), request: Box::new(request) },
            Duration::from_secs(5),
        )
    };
    let no = Reply::No { by: id(1), why: No::NotAnswered };
    assert_eq!(ask(asker(), get_of("/index.html")).await.0, no);
    assert_eq!(ask(asker(), Request { method: "DELETE".to_owned(), ..get_of("/api/v1/film") }).await.0, no);
    assert_eq!(ask(Asker { text: "test".to_owned(), ..asker() }, get_of("/api/v1/film")).await.0, no, "no purpose, no picture");
}
