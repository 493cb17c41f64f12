//! Pull points against a device service on a real socket, which checks sign-ins as cameras do and forgets as cameras do.

use super::*;
use crate::onvif::{Document, Watch};
use axum::{Router, extract::State, http::StatusCode, response::IntoResponse, routing::post};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use index::{
    events::Kind,
    model::{CameraAddress, Secret},
};
use sha1::{Digest as _, Sha1};
use tokio::sync::mpsc;

const PASSWORD: &str = "ca:n@ry/47";

/// A camera's device service.
#[derive(Default)]
struct Device {
    /// How far its clock is ahead, in seconds.
    ahead_s: i64,
    /// The host it calls itself by; empty: its real one.
    calls_itself: &'static str,
    state: Mutex<DeviceState>,
    changed: tokio::sync::Notify,
}

#[derive(Default)]
struct DeviceState {
    /// What waits for each subscription.
    subscriptions: BTreeMap<u32, Vec<String>>,
    made: u32,
    refused: u32,
    renewed: u32,
    here: String,
}

impl Device {
    async fn start(self) -> (Arc<Self>, DeviceAddress) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let host = if self.calls_itself.is_empty() { address.to_string() } else { self.calls_itself.to_owned() };
        lock(&self.state).here = format!("http://{host}");
        let device = Arc::new(self);
        let app = Router::new().route("/{*path}", post(answer_soap)).with_state(Arc::clone(&device));
        tokio::spawn(async move { axum::serve(listener, app).await });
        (device, DeviceAddress::new(&format!("http://{address}/onvif/device_service")).expect("an address"))
    }

    /// Tells every subscription that a line was crossed.
    fn cross(&self, object: u32) {
        self.tell("RuleEngine/LineDetector/Crossed", "ObjectId", &object.to_string());
    }

    /// Tells every subscription something.
    fn tell(&self, topic: &str, name: &str, value: &str) {
        let message = format!(
            "<wsnt:NotificationMessage><wsnt:Topic>tns1:{topic}</wsnt:Topic><wsnt:Message>\
             <tt:Message UtcTime=\"{}\"><tt:Source><tt:SimpleItem Name=\"Rule\" Value=\"Line\"/></tt:Source><tt:Data>\
             <tt:SimpleItem Name=\"{name}\" Value=\"{value}\"/></tt:Data></tt:Message></wsnt:Message></wsnt:NotificationMessage>",
            UtcMicros::now() + Duration::from_secs(self.ahead_s.unsigned_abs())
        );
        lock(&self.state).subscriptions.values_mut().for_each(|waiting| waiting.push(message.clone()));
        self.changed.notify_waiters();
    }

    fn forget(&self) {
        lock(&self.state).subscriptions.clear();
        self.changed.notify_waiters();
    }

    fn subscriptions(&self) -> usize {
        lock(&self.state).subscriptions.len()
    }

    /// Whether the request is signed with the password and a time that is the camera's, within 5 s (WS-Security UsernameToken).
    fn admits(&self, body: &str) -> bool {
        let of = |name: &str| {
            let begin = body.find(&format!("<wsse:{name}")).or_else(|| body.find(&format!("<wsu:{name}")))?;
            let rest = &body[begin..];
            rest[rest.find('>')? + 1..].split('<').next().map(str::to_owned)
        };
        let (Some(nonce), Some(created), Some(proof)) = (of("Nonce"), of("Created"), of("Password")) else { return false };
        let Ok(at) = created.parse::<jiff::Timestamp>() else { return false };
        let now = UtcMicros::now().as_micros() / 1_000_000 + self.ahead_s;
        let mut hash = Sha1::new();
        hash.update(BASE64_STANDARD.decode(nonce).unwrap_or_default());
        hash.update(created.as_bytes());
        hash.update(PASSWORD.as_bytes());
        BASE64_STANDARD.encode(hash.finalize()) == proof && (at.as_second() - now).abs() <= 5
    }
}

async fn answer_soap(
    State(device): State<Arc<Device>>,
    axum::extract::Path(path): axum::extract::Path<String>,
    body: String,
) -> (StatusCode, impl IntoResponse) {
    let (status, answer) = device.answer(&path, &body).await;
    let envelope = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\"><s:Body>{answer}</s:Body></s:Envelope>"
    );
    (status, envelope)
}

fn fault(subcode: &str) -> (StatusCode, String) {
    let text = format!(
        "<s:Fault><s:Code><s:Value>s:Sender</s:Value><s:Subcode><s:Value>{subcode}</s:Value></s:Subcode></s:Code>\
         <s:Reason><s:Text>no</s:Text></s:Reason></s:Fault>"
    );
    (StatusCode::BAD_REQUEST, text)
}

impl Device {
    async fn answer(&self, path: &str, body: &str) -> (StatusCode, String) {
        let good = |answer: String| (StatusCode::OK, answer);
        if body.contains("GetSystemDateAndTime") {
            let now = UtcMicros::now().as_micros() / 1_000_000 + self.ahead_s;
            let at = jiff::Timestamp::from_second(now).expect("in range").to_zoned(jiff::tz::TimeZone::UTC);
            return good(format!(
                "<tds:GetSystemDateAndTimeResponse><tds:SystemDateAndTime><tt:UTCDateTime><tt:Time><tt:Hour>{}</tt:Hour>\
                 <tt:Minute>{}</tt:Minute><tt:Second>{}</tt:Second></tt:Time><tt:Date><tt:Year>{}</tt:Year><tt:Month>{}</tt:Month>\
                 <tt:Day>{}</tt:Day></tt:Date></tt:UTCDateTime></tds:SystemDateAndTime></tds:GetSystemDateAndTimeResponse>",
                at.hour(),
                at.minute(),
                at.second(),
                at.year(),
                at.month(),
                at.day()
            ));
        }
        if !self.admits(body) {
            lock(&self.state).refused += 1;
            return fault("ter:NotAuthorized");
        }
        let here = lock(&self.state).here.clone();
        if body.contains("GetCapabilities") {
            return good(format!(
                "<tds:GetCapabilitiesResponse><tds:Capabilities><tt:Events><tt:XAddr>{here}/onvif/events</tt:XAddr></tt:Events>\
                 </tds:Capabilities></tds:GetCapabilitiesResponse>"
            ));
        }
        if body.contains("CreatePullPointSubscription") {
            let mut state = lock(&self.state);
            state.made += 1;
            let number = state.made;
            state.subscriptions.insert(number, Vec::new());
            return good(format!(
                "<tev:CreatePullPointSubscriptionResponse><tev:SubscriptionReference><wsa:Address>{here}/onvif/subscription/{number}\
                 </wsa:Address></tev:SubscriptionReference><wsnt:CurrentTime>{0}</wsnt:CurrentTime><wsnt:TerminationTime>{0}\
                 </wsnt:TerminationTime></tev:CreatePullPointSubscriptionResponse>",
                UtcMicros::now()
            ));
        }
        let Some(number) = path.rsplit('/').next().and_then(|number| number.parse::<u32>().ok()) else {
            return fault("ter:InvalidArgs");
        };
        if !lock(&self.state).subscriptions.contains_key(&number) {
            return fault("wsrf-rw:ResourceUnknownFault");
        }
        if body.contains("PullMessages") {
            return self.pulled(number).await;
        }
        if body.contains("Unsubscribe") {
            lock(&self.state).subscriptions.remove(&number);
            return good("<wsnt:UnsubscribeResponse/>".to_owned());
        }
        if body.contains("Renew") {
            lock(&self.state).renewed += 1;
            return good(
                "<wsnt:RenewResponse><wsnt:TerminationTime>2030-01-01T00:00:00Z</wsnt:TerminationTime></wsnt:RenewResponse>"
                    .to_owned(),
            );
        }
        good("<tev:SetSynchronizationPointResponse/>".to_owned())
    }

    /// Waits for something to tell, two seconds at most.
    async fn pulled(&self, number: u32) -> (StatusCode, String) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(2);
        loop {
            let changed = self.changed.notified();
            let waiting = lock(&self.state).subscriptions.get_mut(&number).map(std::mem::take);
            match waiting {
                None => return fault("wsrf-rw:ResourceUnknownFault"),
                Some(told) if !told.is_empty() || tokio::time::Instant::now() >= deadline => {
                    let told = told.concat();
                    return (StatusCode::OK, format!("<tev:PullMessagesResponse>{told}</tev:PullMessagesResponse>"));
                }
                Some(_) => drop(tokio::time::timeout_at(deadline, changed).await),
            }
        }
    }
}

fn camera(address: &DeviceAddress) -> Camera {
    Camera {
        onvif: Some(address.clone()),
        ..Camera::new(crate::testing::stream().camera, "南门岗亭", CameraAddress::new("rtsp://127.0.0.1/x").expect("an address"))
    }
}

/// A node that asks one camera, and what it hears.
struct Asking {
    points: PullPoints,
    heard: mpsc::UnboundedReceiver<(StreamId, UtcMicros, Vec<u8>)>,
    watch: Watch,
    /// Parts of documents that were refused.
    refused: usize,
}

impl Asking {
    fn start(network: &str, address: &DeviceAddress, password: &str) -> Self {
        crate::testing::choose_tls();
        let (told, heard) = mpsc::unbounded_channel();
        let tell: OnMetadata = Arc::new(move |stream, at, document| {
            let _ = told.send((stream, at, document.to_vec()));
        });
        let allow = AddressPolicy::new(vec![network.parse().expect("a network")]);
        let points = PullPoints::start(allow, tell).expect("a thread");
        let credentials = Credentials { user: "admin".to_owned(), password: Secret::new(password) };
        let camera = camera(address);
        points.apply(&[(camera, Some(credentials))]);
        Self { points, heard, watch: Watch::default(), refused: 0 }
    }

    /// The next event that the camera's answers become.
    async fn event(&mut self) -> index::events::Event {
        let found = async {
            loop {
                let (stream, at, bytes) = self.heard.recv().await.expect("the points live");
                assert_eq!(stream, crate::testing::stream());
                let document = Document::read(&bytes).expect("what was handed on can be read");
                let mut outcome = self.watch.take(document, at);
                self.refused += outcome.refused.len();
                if let Some(event) = outcome.events.pop() {
                    return event;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(30), found).await.expect("an event in time")
    }

    async fn until(&self, what: &str, mut is_so: impl FnMut(PullStatus) -> bool) {
        let waited = async {
            while !self.points.status().first().copied().is_some_and(&mut is_so) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), waited).await.expect(what);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn q83_what_a_camera_tells_an_hour_ahead_of_us_is_pulled_and_dated_by_our_clock() {
    let (device, address) = Device { ahead_s: 3600, ..Device::default() }.start().await;
    let mut asking = Asking::start("127.0.0.0/8", &address, PASSWORD);
    asking.until("a subscription", |status| status.subscribed).await;
    let before = UtcMicros::now();
    device.cross(7);
    let event = asking.event().await;
    assert_eq!((event.kind, event.source.topic.as_str()), (Kind::LineCrossed, "tns1:RuleEngine/LineDetector/Crossed"));
    assert!(event.time.micros_from(before).abs() < 20_000_000, "{} is not about {before}", event.time);
    let ahead = asking.points.status()[0].clock_ahead_s.expect("it was asked");
    assert!((3590..=3610).contains(&ahead), "{ahead}");
    assert_eq!(lock(&device.state).refused, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn q119_a_camera_that_forgot_its_subscriptions_is_asked_for_a_new_one() {
    let (device, address) = Device::default().start().await;
    let mut asking = Asking::start("127.0.0.0/8", &address, PASSWORD);
    asking.until("a subscription", |status| status.subscribed).await;
    device.forget();
    let waited = async {
        while device.subscriptions() == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waited).await.expect("a new subscription");
    device.cross(8);
    assert_eq!(asking.event().await.kind, Kind::LineCrossed);
    assert_eq!(device.subscriptions(), 1, "one subscription a camera");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_camera_that_names_another_host_is_asked_itself() {
    let (device, address) = Device { calls_itself: "169.254.169.254", ..Device::default() }.start().await;
    let mut asking = Asking::start("127.0.0.0/8", &address, PASSWORD);
    asking.until("a subscription", |status| status.subscribed).await;
    device.cross(9);
    assert_eq!(asking.event().await.kind, Kind::LineCrossed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stops_gives_its_subscription_back() {
    let (device, address) = Device::default().start().await;
    let asking = Asking::start("127.0.0.0/8", &address, PASSWORD);
    asking.until("a subscription", |status| status.subscribed).await;
    assert_eq!(device.subscriptions(), 1);
    asking.points.drain().await;
    assert_eq!(device.subscriptions(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_is_said_and_tried_once() {
    let (device, address) = Device::default().start().await;
    let asking = Asking::start("127.0.0.0/8", &address, "guess");
    asking.until("the trouble", |status| status.trouble == Some(PullTrouble::Unauthorised)).await;
    assert_eq!(lock(&device.state).refused, 1);
    assert!(!asking.points.status()[0].subscribed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_outside_the_allowed_networks_is_not_asked() {
    let (device, address) = Device::default().start().await;
    let asking = Asking::start("192.0.2.0/24", &address, PASSWORD);
    asking.until("the trouble", |status| status.trouble == Some(PullTrouble::Address)).await;
    assert_eq!(lock(&device.state).made, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i14_who_somebody_is_does_not_come_in_by_a_pull_point() {
    let (device, address) = Device::default().start().await;
    let mut asking = Asking::start("127.0.0.0/8", &address, PASSWORD);
    asking.until("a subscription", |status| status.subscribed).await;
    device.tell("RuleEngine/FaceRecognition/Match", "PersonName", "somebody");
    device.cross(10);
    assert_eq!(asking.event().await.kind, Kind::LineCrossed);
    assert!(asking.refused > 0, "it is refused, and counted");
}
