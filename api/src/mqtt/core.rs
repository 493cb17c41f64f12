//! One connection with a broker, MQTT 5: bytes in, actions out. Owns no socket and no clock. The protocol is the library's; this says what
//! a node asks of a broker: a session that outlives the connection, messages delivered at least once, few at a time.

use super::Away;
use mqtt_protocol_core::mqtt::{
    Connection, Version,
    common::Cursor,
    connection::{ConnectionOptions, Event, TimerKind, role::Client},
    packet::{Packet, Property, Qos, SessionExpiryInterval, SubEntry, SubOpts, v5_0},
    prelude::*,
    result_code::{ConnectReasonCode, PubackReasonCode},
};
use std::time::Duration;

/// The largest message: a batch as HTTP would take it, and what the protocol puts around it.
pub(super) const LARGEST: u32 = (256 << 10) + 1024;
/// Messages that the broker may have sent and we not acknowledged.
pub(super) const AT_ONCE: u16 = 8;
/// How long the broker keeps messages for a node that is away, if it can.
const SESSION_S: u32 = 3 * 86_400;
/// A connection over which nothing was said for so long is asked whether it lives.
const KEEP_ALIVE_S: u16 = 15;
/// How long the broker may take to say that it does.
const PONG: Duration = Duration::from_secs(10);

/// Who we are to the broker, and what we want.
#[derive(Clone, Debug)]
pub(super) struct Wish<'a> {
    pub(super) client: &'a str,
    pub(super) user: Option<(&'a str, &'a str)>,
    pub(super) topics: Vec<&'a str>,
}

/// A message of a box.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Message {
    pub(super) topic: String,
    pub(super) bytes: Vec<u8>,
    /// What it is acknowledged by; `None` if its sender asked for no acknowledgement.
    pub(super) id: Option<u16>,
}

/// What the shell must do next.
#[derive(Debug, PartialEq)]
pub(super) enum Action {
    Send(Vec<u8>),
    /// [`Core::ring`] after so long, instead of what was said of that timer before.
    Wake(Timer, Duration),
    /// Not any more.
    Rest(Timer),
    /// The broker sends what the boxes tell.
    Listening,
    Take(Message),
    Close(Away),
}

/// The library's two timers of a client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Timer {
    /// It is time to ask whether the connection lives.
    Ping,
    /// It is time that the answer came.
    Pong,
}

/// What becomes of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    /// What could be kept of it is durable.
    Kept,
    /// It is no batch of events, and never will be.
    Nonsense,
}

pub(super) struct Core {
    connection: Connection<Client>,
    topics: Vec<String>,
    closed: bool,
}

impl Core {
    /// A connection that was just made: says who we are.
    pub(super) fn begin(wish: &Wish) -> (Self, Vec<Action>) {
        let options = ConnectionOptions::new().maximum_packet_size_recv(LARGEST).receive_maximum(AT_ONCE);
        let mut connection = Connection::<Client>::with_options(Version::V5_0, options);
        connection.set_pingresp_recv_timeout(u64::try_from(PONG.as_millis()).unwrap_or(u64::MAX));
        let topics = wish.topics.iter().map(|topic| (*topic).to_owned()).collect();
        let mut core = Self { connection, topics, closed: false };
        let connect = || {
            let mut connect = v5_0::Connect::builder().client_id(wish.client)?.clean_start(false).keep_alive(KEEP_ALIVE_S);
            if let Some((user, password)) = wish.user {
                connect = connect.user_name(user)?.password(password)?;
            }
            connect.props(vec![Property::SessionExpiryInterval(SessionExpiryInterval::new(SESSION_S)?)]).build()
        };
        let actions = match connect() {
            Ok(connect) => {
                let events = core.connection.checked_send(connect);
                core.act(events)
            }
            Err(_) => core.close(Away::Protocol),
        };
        (core, actions)
    }

    /// Takes what was read from the broker.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Vec<Action> {
        let mut cursor = Cursor::new(bytes);
        let mut actions = Vec::new();
        // One packet a call.
        while !self.closed && cursor.position() < bytes.len() as u64 {
            let events = self.connection.recv(&mut cursor);
            actions.extend(self.act(events));
        }
        actions
    }

    /// A timer that was asked for is due.
    pub(super) fn ring(&mut self, timer: Timer) -> Vec<Action> {
        let kind = match timer {
            Timer::Ping => TimerKind::PingreqSend,
            Timer::Pong => return self.close(Away::NoAnswer),
        };
        let events = self.connection.notify_timer_fired(kind);
        self.act(events)
    }

    /// Tells the broker what became of a message: it is not sent again.
    pub(super) fn acknowledge(&mut self, id: u16, fate: Fate) -> Vec<Action> {
        let code = match fate {
            Fate::Kept => PubackReasonCode::Success,
            Fate::Nonsense => PubackReasonCode::PayloadFormatInvalid,
        };
        match v5_0::Puback::builder().packet_id(id).reason_code(code).build() {
            Ok(puback) => {
                let events = self.connection.checked_send(puback);
                self.act(events)
            }
            Err(_) => self.close(Away::Protocol),
        }
    }

    fn act(&mut self, events: Vec<Event>) -> Vec<Action> {
        let mut actions = Vec::new();
        for event in events {
            if self.closed {
                break;
            }
            match event {
                Event::RequestSendPacket { packet, .. } => actions.push(Action::Send(packet.to_continuous_buffer())),
                Event::RequestTimerReset { kind, duration_ms } => {
                    actions.extend(timer(kind).map(|timer| Action::Wake(timer, Duration::from_millis(duration_ms))));
                }
                Event::RequestTimerCancel(kind) => actions.extend(timer(kind).map(Action::Rest)),
                Event::NotifyPacketReceived(packet) => actions.extend(self.received(packet)),
                Event::NotifyError(_) | Event::RequestClose => actions.extend(self.close(Away::Protocol)),
                Event::NotifyPacketIdReleased(_) => {}
            }
        }
        actions
    }

    fn received(&mut self, packet: Packet) -> Vec<Action> {
        match packet {
            Packet::V5_0Connack(answer) => match answer.reason_code() {
                ConnectReasonCode::Success => self.subscribe(),
                ConnectReasonCode::BadUserNameOrPassword | ConnectReasonCode::NotAuthorized => self.close(Away::Refused),
                _ => self.close(Away::Protocol),
            },
            Packet::V5_0Suback(answer) => {
                let all = answer.reason_codes().iter().all(|code| code.is_success());
                if all { vec![Action::Listening] } else { self.close(Away::Topic) }
            }
            Packet::V5_0Publish(message) => vec![Action::Take(Message {
                topic: message.topic_name().to_owned(),
                bytes: message.payload().as_slice().to_vec(),
                id: message.packet_id(),
            })],
            Packet::V5_0Disconnect(_) => self.close(Away::NoAnswer),
            _ => Vec::new(),
        }
    }

    fn subscribe(&mut self) -> Vec<Action> {
        let entry = |topic: &String| SubEntry::new(topic.as_str(), SubOpts::new().set_qos(Qos::AtLeastOnce));
        let subscribe = self.topics.iter().map(entry).collect::<Result<Vec<_>, _>>().and_then(|entries| {
            let id = self.connection.acquire_packet_id()?;
            v5_0::Subscribe::builder().packet_id(id).entries(entries).build()
        });
        match subscribe {
            Ok(subscribe) => {
                let events = self.connection.checked_send(subscribe);
                self.act(events)
            }
            Err(_) => self.close(Away::Protocol),
        }
    }

    fn close(&mut self, why: Away) -> Vec<Action> {
        self.closed = true;
        vec![Action::Close(why)]
    }
}

fn timer(kind: TimerKind) -> Option<Timer> {
    match kind {
        TimerKind::PingreqSend => Some(Timer::Ping),
        TimerKind::PingrespRecv => Some(Timer::Pong),
        TimerKind::PingreqRecv => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mqtt_protocol_core::mqtt::{connection::role::Server, packet::Packet as Sent};

    /// A broker's side of the protocol, by the same library.
    struct Broker(Connection<Server>);

    impl Broker {
        /// What the client's bytes say.
        fn hear(&mut self, actions: &[Action]) -> Vec<Sent> {
            let mut heard = Vec::new();
            for action in actions {
                let Action::Send(bytes) = action else { continue };
                let mut cursor = Cursor::new(bytes.as_slice());
                while cursor.position() < bytes.len() as u64 {
                    heard.extend(self.0.recv(&mut cursor).into_iter().filter_map(|event| match event {
                        Event::NotifyPacketReceived(packet) => Some(packet),
                        _ => None,
                    }));
                }
            }
            heard
        }

        fn say(&mut self, packet: Sent) -> Vec<u8> {
            let events = self.0.send(packet);
            let sent = events.into_iter().filter_map(|event| match event {
                Event::RequestSendPacket { packet, .. } => Some(packet.to_continuous_buffer()),
                _ => None,
            });
            sent.flatten().collect()
        }
    }

    fn connected() -> (Core, Broker) {
        let wish = Wish { client: "room", user: Some(("haohe", "pass")), topics: vec!["box/1"] };
        let (mut core, actions) = Core::begin(&wish);
        let mut broker = Broker(Connection::new(Version::V5_0));
        let heard = broker.hear(&actions);
        let [Sent::V5_0Connect(connect)] = heard.as_slice() else { panic!("{heard:?}") };
        assert_eq!((connect.client_id(), connect.clean_start(), connect.user_name()), ("room", false, Some("haohe")));
        assert!(connect.props.iter().any(|prop| matches!(prop, Property::ReceiveMaximum(most) if most.val() == AT_ONCE)));
        let connack = v5_0::Connack::builder().session_present(false).reason_code(ConnectReasonCode::Success).build();
        let actions = core.read(&broker.say(connack.expect("a packet").into()));
        let heard = broker.hear(&actions);
        let [Sent::V5_0Subscribe(subscribe)] = heard.as_slice() else { panic!("{heard:?}") };
        let suback = v5_0::Suback::builder()
            .packet_id(subscribe.packet_id())
            .reason_codes(vec![mqtt_protocol_core::mqtt::result_code::SubackReasonCode::GrantedQos1])
            .build();
        assert_eq!(core.read(&broker.say(suback.expect("a packet").into())), [Action::Listening]);
        (core, broker)
    }

    #[test]
    fn a_message_is_acknowledged_when_the_node_says_so_and_not_before() {
        let (mut core, mut broker) = connected();
        let id = broker.0.acquire_packet_id().expect("an id");
        let publish = v5_0::Publish::builder()
            .topic_name("box/1")
            .expect("a topic")
            .qos(Qos::AtLeastOnce)
            .packet_id(id)
            .payload(b"{}".to_vec())
            .build()
            .expect("a packet");
        let bytes = broker.say(publish.into());
        // However the network cuts it.
        let mut actions = core.read(&bytes[..5]);
        actions.extend(core.read(&bytes[5..]));
        let message = Message { topic: "box/1".to_owned(), bytes: b"{}".to_vec(), id: Some(id) };
        assert_eq!(actions, [Action::Take(message)]);
        let heard = broker.hear(&core.acknowledge(id, Fate::Nonsense));
        let [Sent::V5_0Puback(puback)] = heard.as_slice() else { panic!("{heard:?}") };
        assert_eq!((puback.packet_id(), puback.reason_code()), (id, Some(PubackReasonCode::PayloadFormatInvalid)));
    }

    #[test]
    fn a_broker_that_says_no_sends_too_much_or_falls_silent_is_let_go_of() {
        let wish = Wish { client: "room", user: None, topics: vec!["box/1"] };
        let (mut core, actions) = Core::begin(&wish);
        let mut broker = Broker(Connection::new(Version::V5_0));
        broker.hear(&actions);
        let connack = v5_0::Connack::builder().session_present(false).reason_code(ConnectReasonCode::NotAuthorized).build();
        assert_eq!(core.read(&broker.say(connack.expect("a packet").into())), [Action::Close(Away::Refused)]);
        let (mut core, _) = connected();
        let actions = core.read(&[0x30, 0xff, 0xff, 0xff, 0x7f]);
        assert_eq!(actions.last(), Some(&Action::Close(Away::Protocol)), "256 MiB are announced and refused: {actions:?}");
        let (mut core, _) = connected();
        let actions = core.ring(Timer::Ping);
        assert!(actions.contains(&Action::Wake(Timer::Pong, PONG)), "{actions:?}");
        assert_eq!(core.ring(Timer::Pong), [Action::Close(Away::NoAnswer)]);
    }
}
