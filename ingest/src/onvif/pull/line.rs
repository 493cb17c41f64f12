//! The way to one camera's device service: SOAP over HTTP, of which nothing that the camera says leads anywhere else.
//!
//! A camera names the address of its event service and of each subscription. Behind an address translation these names are wrong,
//! and in a hostile camera they would lead to whatever this node can reach: so of such an address only port and path are used, and
//! the host is the configured one, pinned once to a number that the address policy allows. Redirects are not followed, an answer has
//! a limit in size and time, and it is looked through by [`Document::read`], which bounds depth and refuses document types, before
//! anything else reads it.

use super::soap::{self, Place, Question, Reply};
use crate::{
    auth::{Authentication, Verdict},
    onvif::{Document, Operation},
};
use index::model::{Credentials, UtcMicros};
use std::time::Duration;
use url::Url;

/// Bytes of an answer that are read: as many as a document may have.
const ANSWER_BYTES: usize = 1 << 20;
/// How long a question may take beyond what it asks the camera to wait.
const PATIENCE: Duration = Duration::from_secs(15);

/// See the module.
pub(super) struct Line {
    client: reqwest::Client,
    /// The device service, its host by number.
    home: Url,
    credentials: Option<Credentials>,
    digest: Authentication,
    /// How far the camera's clock is ahead, in seconds.
    pub(super) ahead_s: i64,
}

/// Why a question has no answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Failure {
    /// The camera says no, in these words.
    Fault(String),
    /// The user or the password is wrong.
    Unauthorised,
    /// The connection ended without an answer.
    Cut,
    /// Nobody answered in time, or nothing that can be read.
    NoAnswer,
}

/// An answer.
pub(super) struct Answered {
    /// What it says.
    pub(super) reply: Reply,
    /// States that it tells as holding, because they were asked for.
    pub(super) states: usize,
    /// All of it, as it came.
    pub(super) text: String,
}

impl Line {
    /// A way to `home`, whose host is a number that the policy allows; a question may ask the camera to wait `longest`.
    ///
    /// # Errors
    /// What the library says when it cannot make a client.
    pub(super) fn new(home: Url, longest: Duration, credentials: Option<Credentials>) -> reqwest::Result<Self> {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(longest + PATIENCE)
            .connect_timeout(PATIENCE)
            // Cameras sign their certificates themselves: with one or without, what protects the line is the cameras' own network.
            .danger_accept_invalid_certs(true)
            .user_agent(concat!("Haohe/", env!("CARGO_PKG_VERSION")))
            .build()?;
        let cnonce = format!("{:016x}", rand::random::<u64>());
        let digest = Authentication::new(credentials.clone(), cnonce);
        Ok(Self { client, home, credentials, digest, ahead_s: 0 })
    }

    /// The address of the device service.
    pub(super) fn home(&self) -> Place {
        Place::at(self.home.as_str())
    }

    /// Asks. The camera's time is asked for without signing in, as ONVIF has it: what is signed bears that time.
    pub(super) async fn ask(&mut self, question: Question, place: &Place) -> Result<Answered, Failure> {
        let url = self.url(&place.address).ok_or(Failure::NoAnswer)?;
        let signer = self.credentials.as_ref().filter(|_| question != Question::Clock);
        let created = UtcMicros::from_micros(UtcMicros::now().as_micros().saturating_add(self.ahead_s.saturating_mul(1_000_000)));
        let body = soap::envelope(question, place, signer, rand::random(), created);
        let mut answer = self.post(&url, question, &body).await?;
        if answer.status() == reqwest::StatusCode::UNAUTHORIZED {
            let values = answer.headers().get_all("www-authenticate").iter().filter_map(|value| value.to_str().ok());
            match self.digest.challenged(values) {
                Verdict::Retry => answer = self.post(&url, question, &body).await?,
                Verdict::Refused => return Err(Failure::Unauthorised),
            }
        }
        match answer.status().as_u16() {
            401 | 403 => return Err(Failure::Unauthorised),
            // A fault comes with 400 or 500, and is read like an answer.
            200 | 400 | 500 => self.digest.accept(),
            _ => return Err(Failure::NoAnswer),
        }
        let text = whole(answer).await?;
        let document = Document::read(text.as_bytes()).map_err(|_| Failure::NoAnswer)?;
        let reply = soap::read(&text).ok_or(Failure::NoAnswer)?;
        match reply.fault {
            Some(words) if words.contains("NotAuthorized") || words.contains("FailedAuthentication") => {
                Err(Failure::Unauthorised)
            }
            Some(words) => Err(Failure::Fault(words)),
            None => {
                let told = document.notifications.iter();
                let states = told.filter(|told| told.operation == Operation::Initialized).count();
                Ok(Answered { reply, states, text })
            }
        }
    }

    async fn post(&mut self, url: &Url, question: Question, body: &str) -> Result<reqwest::Response, Failure> {
        let content = format!("application/soap+xml; charset=utf-8; action=\"{}\"", question.action());
        let mut request = self.client.post(url.clone()).header("content-type", content).body(body.to_owned());
        let target = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
        if let Some(proof) = self.digest.authorise("POST", &target) {
            request = request.header("authorization", proof);
        }
        request
            .send()
            .await
            .map_err(|error| if error.is_connect() || error.is_timeout() { Failure::NoAnswer } else { Failure::Cut })
    }

    /// Where to ask when the camera said `address`.
    fn url(&self, address: &str) -> Option<Url> {
        let mut wanted = Url::parse(address).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
        if wanted.host() != self.home.host() {
            wanted.set_scheme(self.home.scheme()).ok()?;
            wanted.set_host(self.home.host_str()).ok()?;
            wanted.set_port(self.home.port()).ok()?;
        }
        wanted.set_username("").ok()?;
        wanted.set_password(None).ok()?;
        Some(wanted)
    }
}

async fn whole(mut answer: reqwest::Response) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|_| Failure::Cut)? {
        if bytes.len() + chunk.len() > ANSWER_BYTES {
            return Err(Failure::NoAnswer);
        }
        bytes.extend_from_slice(&chunk);
    }
    String::from_utf8(bytes).map_err(|_| Failure::NoAnswer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wherever_a_camera_sends_us_we_stay_with_the_camera() {
        crate::testing::choose_tls();
        let home: Url = "http://192.0.2.7:8080/onvif/device_service".parse().expect("a url");
        let line = Line::new(home, Duration::from_secs(1), None).expect("a client");
        for (said, asked) in [
            ("http://192.0.2.7:8080/onvif/events", Some("http://192.0.2.7:8080/onvif/events")),
            ("http://192.0.2.7:2020/event-0", Some("http://192.0.2.7:2020/event-0")),
            // Its address behind a translation, and somebody else's metadata service.
            ("http://10.0.0.5/onvif/events?id=3", Some("http://192.0.2.7:8080/onvif/events?id=3")),
            ("https://169.254.169.254/latest/meta-data", Some("http://192.0.2.7:8080/latest/meta-data")),
            ("http://admin:secret@192.0.2.7:8080/x", Some("http://192.0.2.7:8080/x")),
            ("file:///etc/passwd", None),
            ("events", None),
        ] {
            assert_eq!(line.url(said).map(String::from).as_deref(), asked, "{said}");
        }
    }
}
