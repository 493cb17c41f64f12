//! A camera's ONVIF device service, as far as its events are pulled (ONVIF Core Specification §9.2): seven questions in SOAP, answered from
//! the scene's truth. Pure: text and time in, answers out; `serve::devices` owns the sockets.
//!
//! Cameras differ in how they want to be signed to: those with odd numbers by WS-Security, those with even numbers by HTTP Digest, which
//! the shell checks before anything comes here. Subscriptions have a term and are forgotten when it is over.

use crate::{metadata::write_event, scene::What, spec::Auth};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use index::model::UtcMicros;
use sha1::{Digest as _, Sha1};
use std::{collections::BTreeMap, time::Duration};

/// Subscriptions that one camera gives at most.
const SUBSCRIPTIONS: usize = 4;
/// The longest that a pull waits.
const LONGEST_PULL: Duration = Duration::from_secs(60);
/// How old a signature may be.
const FRESH: Duration = Duration::from_secs(5);

/// One camera's service.
#[derive(Debug, Default)]
pub(crate) struct Device {
    subscriptions: BTreeMap<u32, Subscription>,
    made: u32,
}

#[derive(Debug)]
struct Subscription {
    until: UtcMicros,
    /// Everything up to here was told.
    told: UtcMicros,
}

/// What is asked, as far as it is understood.
#[derive(Clone, Debug)]
pub(crate) struct Asked<'a> {
    /// The last part of the path.
    pub(crate) place: &'a str,
    /// The envelope.
    pub(crate) envelope: &'a str,
    /// Where this camera's service is: `http://127.0.0.1:8080/cam/3/onvif`.
    pub(crate) here: &'a str,
    /// The camera's clock.
    pub(crate) now: UtcMicros,
    /// How to sign the envelope; `Open`: not at all.
    pub(crate) auth: &'a Auth,
}

/// What is to be done about it.
#[derive(PartialEq, Debug)]
pub(crate) enum Answer {
    /// Sent at once: the status and the body of the envelope.
    Now(u16, String),
    /// Events of a subscription that happened after an instant, at most so many, waited for at most so long.
    Pull { subscription: u32, after: UtcMicros, wait: Duration, most: usize },
}

impl Device {
    pub(crate) fn answer(&mut self, asked: &Asked) -> Answer {
        let Asked { envelope, here, now, .. } = *asked;
        let is = |name: &str| envelope.contains(&format!(":{name}>")) || envelope.contains(&format!(":{name}/>"));
        if is("GetSystemDateAndTime") {
            return Answer::Now(200, clock(now));
        }
        if !signed(asked) {
            return fault("ter:NotAuthorized");
        }
        if is("GetCapabilities") {
            return Answer::Now(
                200,
                format!(
                    "<tds:GetCapabilitiesResponse><tds:Capabilities><tt:Events><tt:XAddr>{here}/events</tt:XAddr></tt:Events>\
                     </tds:Capabilities></tds:GetCapabilitiesResponse>"
                ),
            );
        }
        self.subscriptions.retain(|_, subscription| subscription.until > now);
        if is("CreatePullPointSubscription") {
            return self.subscribe(asked);
        }
        let number = asked.place.parse::<u32>().ok();
        let Some((number, subscription)) = number.and_then(|number| Some((number, self.subscriptions.get_mut(&number)?))) else {
            return fault("wsrf-rw:ResourceUnknownFault");
        };
        if is("PullMessages") {
            let wait = span(envelope, "Timeout").unwrap_or_default().min(LONGEST_PULL);
            let most = text(envelope, "MessageLimit").and_then(|most| most.parse().ok()).unwrap_or(1);
            return Answer::Pull { subscription: number, after: subscription.told, wait, most };
        }
        if is("Renew") {
            subscription.until = now + span(envelope, "TerminationTime").unwrap_or(FRESH);
            let until = subscription.until;
            return Answer::Now(
                200,
                format!("<wsnt:RenewResponse><wsnt:TerminationTime>{until}</wsnt:TerminationTime></wsnt:RenewResponse>"),
            );
        }
        if is("Unsubscribe") {
            self.subscriptions.remove(&number);
            return Answer::Now(200, "<wsnt:UnsubscribeResponse/>".to_owned());
        }
        Answer::Now(200, "<tev:SetSynchronizationPointResponse/>".to_owned())
    }

    fn subscribe(&mut self, asked: &Asked) -> Answer {
        if self.subscriptions.len() >= SUBSCRIPTIONS {
            return fault("tev:MaximumNumberOfPullPointsReached");
        }
        let Asked { here, now, envelope, .. } = *asked;
        self.made += 1;
        let (number, until) = (self.made, now + span(envelope, "InitialTerminationTime").unwrap_or(LONGEST_PULL));
        self.subscriptions.insert(number, Subscription { until, told: now });
        Answer::Now(
            200,
            format!(
                "<tev:CreatePullPointSubscriptionResponse><tev:SubscriptionReference><wsa:Address>{here}/subscription/{number}</wsa:Address>\
                 </tev:SubscriptionReference><wsnt:CurrentTime>{now}</wsnt:CurrentTime><wsnt:TerminationTime>{until}</wsnt:TerminationTime>\
                 </tev:CreatePullPointSubscriptionResponse>"
            ),
        )
    }

    /// The body of a pull's answer, and that it was told: everything up to `to`, by the camera's clock.
    pub(crate) fn pulled(&mut self, number: u32, events: &[(UtcMicros, What)], now: UtcMicros, to: UtcMicros) -> Answer {
        let Some(subscription) = self.subscriptions.get_mut(&number).filter(|subscription| subscription.until > now) else {
            return fault("wsrf-rw:ResourceUnknownFault");
        };
        subscription.told = to;
        let until = subscription.until;
        let mut body = format!(
            "<tev:PullMessagesResponse><tev:CurrentTime>{now}</tev:CurrentTime><tev:TerminationTime>{until}</tev:TerminationTime>"
        );
        events.iter().for_each(|(at, what)| write_event(&mut body, what, *at));
        body.push_str("</tev:PullMessagesResponse>");
        Answer::Now(200, body)
    }

    /// As after a start: nobody is subscribed.
    pub(crate) fn forget(&mut self) {
        self.subscriptions.clear();
    }
}

/// An answer's body in its envelope.
pub(crate) fn envelope(body: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\" \
         xmlns:wsa=\"http://www.w3.org/2005/08/addressing\" xmlns:tds=\"http://www.onvif.org/ver10/device/wsdl\" \
         xmlns:tev=\"http://www.onvif.org/ver10/events/wsdl\" xmlns:wsnt=\"http://docs.oasis-open.org/wsn/b-2\" \
         xmlns:tt=\"http://www.onvif.org/ver10/schema\" xmlns:tns1=\"http://www.onvif.org/ver10/topics\"><s:Body>{body}</s:Body></s:Envelope>"
    )
}

fn fault(subcode: &str) -> Answer {
    let body = format!(
        "<s:Fault><s:Code><s:Value>s:Sender</s:Value><s:Subcode><s:Value>{subcode}</s:Value></s:Subcode></s:Code>\
         <s:Reason><s:Text>no</s:Text></s:Reason></s:Fault>"
    );
    Answer::Now(400, body)
}

fn clock(now: UtcMicros) -> String {
    // 2026-11-23T13:46:40.000000Z
    let written = now.to_string();
    let part = |from: usize, to: usize| written.get(from..to).unwrap_or("0").parse::<u32>().unwrap_or(0);
    format!(
        "<tds:GetSystemDateAndTimeResponse><tds:SystemDateAndTime><tt:UTCDateTime><tt:Time><tt:Hour>{}</tt:Hour><tt:Minute>{}</tt:Minute>\
         <tt:Second>{}</tt:Second></tt:Time><tt:Date><tt:Year>{}</tt:Year><tt:Month>{}</tt:Month><tt:Day>{}</tt:Day></tt:Date>\
         </tt:UTCDateTime></tds:SystemDateAndTime></tds:GetSystemDateAndTimeResponse>",
        part(11, 13),
        part(14, 16),
        part(17, 19),
        part(0, 4),
        part(5, 7),
        part(8, 10)
    )
}

/// Whether the envelope is signed with the password at a time that is now (WS-Security UsernameToken Profile 1.0).
fn signed(asked: &Asked) -> bool {
    let Auth::Digest { user, password, .. } = asked.auth else { return true };
    let of = |name| text(asked.envelope, name);
    let (Some(name), Some(nonce), Some(created), Some(proof)) = (of("Username"), of("Nonce"), of("Created"), of("Password"))
    else {
        return false;
    };
    let Ok(nonce) = BASE64_STANDARD.decode(nonce) else { return false };
    let Ok(at) = created.parse::<jiff::Timestamp>() else { return false };
    let mut hash = Sha1::new();
    hash.update(nonce);
    hash.update(created.as_bytes());
    hash.update(password.as_bytes());
    let age = asked.now.micros_from(UtcMicros::from_micros(at.as_microsecond())).unsigned_abs();
    name == user && BASE64_STANDARD.encode(hash.finalize()) == proof && Duration::from_micros(age) <= FRESH
}

/// The text of the first element of that local name.
fn text<'a>(envelope: &'a str, name: &str) -> Option<&'a str> {
    let begin = envelope.match_indices(name).map(|(at, _)| at).find(|at| {
        let after = envelope[at + name.len()..].chars().next();
        envelope[..*at].ends_with(':') && matches!(after, Some('>' | ' '))
    })?;
    let rest = &envelope[begin..];
    rest[rest.find('>')? + 1..].split('<').next()
}

/// A duration as `PT30S`.
fn span(envelope: &str, name: &str) -> Option<Duration> {
    let seconds = text(envelope, name)?.strip_prefix("PT")?.strip_suffix('S')?;
    seconds.parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::DigestAlgorithm;

    const NOW: UtcMicros = UtcMicros::from_micros(1_795_441_600_000_000);

    fn ask(device: &mut Device, place: &str, envelope: &str, now: UtcMicros, auth: &Auth) -> Answer {
        device.answer(&Asked { place, envelope, here: "http://h/cam/1/onvif", now, auth })
    }

    #[test]
    fn a_subscription_is_pulled_from_renewed_and_forgotten_when_its_term_is_over() {
        let (mut device, open) = (Device::default(), Auth::Open);
        let subscribe = "<tev:CreatePullPointSubscription><tev:InitialTerminationTime>PT120S</tev:InitialTerminationTime></tev:CreatePullPointSubscription>";
        let Answer::Now(200, made) = ask(&mut device, "events", subscribe, NOW, &open) else { panic!("no subscription") };
        assert!(made.contains("<wsa:Address>http://h/cam/1/onvif/subscription/1<"), "{made}");
        let pull = "<tev:PullMessages><tev:Timeout>PT30S</tev:Timeout><tev:MessageLimit>20</tev:MessageLimit></tev:PullMessages>";
        let expected = Answer::Pull { subscription: 1, after: NOW, wait: Duration::from_secs(30), most: 20 };
        assert_eq!(ask(&mut device, "1", pull, NOW, &open), expected);
        let later = NOW + Duration::from_secs(100);
        let Answer::Now(200, told) = device.pulled(1, &[(later, What::Motion { now: true })], later, later) else {
            panic!("lost")
        };
        assert!(told.contains("CellMotionDetector/Motion") && told.contains(&format!("UtcTime=\"{later}\"")), "{told}");
        ask(&mut device, "1", "<wsnt:Renew><wsnt:TerminationTime>PT120S</wsnt:TerminationTime></wsnt:Renew>", later, &open);
        let renewed = NOW + Duration::from_secs(150);
        assert!(matches!(ask(&mut device, "1", pull, renewed, &open), Answer::Pull { after, .. } if after == later));
        let over = NOW + Duration::from_secs(221);
        assert!(matches!(ask(&mut device, "1", pull, over, &open), Answer::Now(400, fault) if fault.contains("ResourceUnknown")));
    }

    #[test]
    fn only_who_signs_with_the_password_and_the_cameras_time_is_answered() {
        let auth = Auth::Digest { user: "admin".into(), password: "secret".into(), algorithm: DigestAlgorithm::Md5 };
        let envelope = |password: &str, at: UtcMicros| {
            let mut hash = Sha1::new();
            hash.update(b"nonce");
            hash.update(at.to_string().as_bytes());
            hash.update(password.as_bytes());
            format!(
                "<wsse:Username>admin</wsse:Username><wsse:Password Type=\"x\">{}</wsse:Password><wsse:Nonce EncodingType=\"y\">{}</wsse:Nonce>\
                 <wsu:Created>{at}</wsu:Created><tds:GetCapabilities/>",
                BASE64_STANDARD.encode(hash.finalize()),
                BASE64_STANDARD.encode(b"nonce")
            )
        };
        let status = |envelope: &str| match ask(&mut Device::default(), "device_service", envelope, NOW, &auth) {
            Answer::Now(status, _) => status,
            Answer::Pull { .. } => 0,
        };
        assert_eq!(status(&envelope("secret", NOW)), 200);
        assert_eq!(status(&envelope("guess", NOW)), 400);
        assert_eq!(status(&envelope("secret", NOW + Duration::from_secs(6))), 400);
        assert_eq!(status("<tds:GetCapabilities/>"), 400);
        assert_eq!(status("<tds:GetSystemDateAndTime/>"), 200, "the time is anyone's");
    }
}
