//! The seven questions of a pull point as SOAP envelopes, and what is read of the answers. Pure.
//!
//! (ONVIF Core Specification §9.2 for the questions, WS-Addressing for where they go, WS-Security UsernameToken Profile 1.0 for who
//! asks.) Written here because no client library that is kept up could be taken: see ARCHITECTURE.md. Answers were looked through by
//! `Document::read` before, so their size and depth are bounded.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use index::model::{Credentials, UtcMicros};
use quick_xml::{NsReader, escape::escape, events::Event, name::ResolveResult};
use sha1::{Digest as _, Sha1};
use std::{fmt::Write as _, time::Duration};

/// What an answer may name besides the address of a subscription, to be said again with every question about it.
const PARAMETERS_MAX: usize = 8;
/// Texts of an answer that are looked at.
const TEXTS_MAX: usize = 20_000;

/// A question.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Question {
    /// GetSystemDateAndTime.
    Clock,
    /// GetCapabilities.
    Capabilities,
    /// CreatePullPointSubscription, for so long.
    Subscribe(Duration),
    /// SetSynchronizationPoint.
    Synchronise,
    /// PullMessages, waiting so long for at most so many.
    Pull(Duration, u32),
    /// Renew, for so long.
    Renew(Duration),
    /// Unsubscribe.
    Unsubscribe,
}

impl Question {
    /// The SOAP action.
    pub(super) fn action(self) -> &'static str {
        match self {
            Self::Clock => "http://www.onvif.org/ver10/device/wsdl/GetSystemDateAndTime",
            Self::Capabilities => "http://www.onvif.org/ver10/device/wsdl/GetCapabilities",
            Self::Subscribe(_) => "http://www.onvif.org/ver10/events/wsdl/EventPortType/CreatePullPointSubscriptionRequest",
            Self::Synchronise => "http://www.onvif.org/ver10/events/wsdl/PullPointSubscription/SetSynchronizationPointRequest",
            Self::Pull(..) => "http://www.onvif.org/ver10/events/wsdl/PullPointSubscription/PullMessagesRequest",
            Self::Renew(_) => "http://docs.oasis-open.org/wsn/bw-2/SubscriptionManager/RenewRequest",
            Self::Unsubscribe => "http://docs.oasis-open.org/wsn/bw-2/SubscriptionManager/UnsubscribeRequest",
        }
    }

    fn body(self) -> String {
        let span = |span: Duration| format!("PT{}S", span.as_secs());
        match self {
            Self::Clock => "<tds:GetSystemDateAndTime/>".to_owned(),
            Self::Capabilities => "<tds:GetCapabilities><tds:Category>Events</tds:Category></tds:GetCapabilities>".to_owned(),
            Self::Subscribe(term) => format!(
                "<tev:CreatePullPointSubscription><tev:InitialTerminationTime>{}</tev:InitialTerminationTime>\
                 </tev:CreatePullPointSubscription>",
                span(term)
            ),
            Self::Synchronise => "<tev:SetSynchronizationPoint/>".to_owned(),
            Self::Pull(wait, most) => format!(
                "<tev:PullMessages><tev:Timeout>{}</tev:Timeout><tev:MessageLimit>{most}</tev:MessageLimit></tev:PullMessages>",
                span(wait)
            ),
            Self::Renew(term) => format!("<wsnt:Renew><wsnt:TerminationTime>{}</wsnt:TerminationTime></wsnt:Renew>", span(term)),
            Self::Unsubscribe => "<wsnt:Unsubscribe/>".to_owned(),
        }
    }
}

/// Where a question goes: an address, and what the camera wants to read in each question to it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Place {
    /// The address, as the camera named it.
    pub(super) address: String,
    /// Reference parameters, ready to stand in a header.
    parameters: String,
}

impl Place {
    /// An address alone.
    pub(super) fn at(address: &str) -> Self {
        Self { address: address.to_owned(), parameters: String::new() }
    }
}

/// The envelope of `question` to `place`. With credentials it is signed with a fresh `nonce` and `created`, which is the camera's
/// time, not ours.
pub(super) fn envelope(
    question: Question,
    place: &Place,
    signer: Option<&Credentials>,
    nonce: [u8; 16],
    created: UtcMicros,
) -> String {
    let mut text = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\" \
         xmlns:wsa=\"http://www.w3.org/2005/08/addressing\" xmlns:tds=\"http://www.onvif.org/ver10/device/wsdl\" \
         xmlns:tev=\"http://www.onvif.org/ver10/events/wsdl\" xmlns:wsnt=\"http://docs.oasis-open.org/wsn/b-2\"><s:Header>",
    );
    // Writing to a string cannot fail.
    let _ = write!(text, "<wsa:Action>{}</wsa:Action><wsa:To>{}</wsa:To>", question.action(), escape(&place.address));
    text.push_str(&place.parameters);
    if let Some(signer) = signer {
        let created = created.to_string();
        let mut hash = Sha1::new();
        hash.update(nonce);
        hash.update(created.as_bytes());
        hash.update(signer.password.expose().as_bytes());
        let _ = write!(
            text,
            "<wsse:Security s:mustUnderstand=\"1\" xmlns:wsse=\"http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd\" \
             xmlns:wsu=\"http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd\"><wsse:UsernameToken>\
             <wsse:Username>{}</wsse:Username><wsse:Password Type=\"http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0#PasswordDigest\">{}</wsse:Password>\
             <wsse:Nonce EncodingType=\"http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-soap-message-security-1.0#Base64Binary\">{}</wsse:Nonce>\
             <wsu:Created>{created}</wsu:Created></wsse:UsernameToken></wsse:Security>",
            escape(&signer.user),
            BASE64_STANDARD.encode(hash.finalize()),
            BASE64_STANDARD.encode(nonce),
        );
    }
    let _ = write!(text, "</s:Header><s:Body>{}</s:Body></s:Envelope>", question.body());
    text
}

/// An answer, as far as it is understood.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Reply {
    /// The camera's time, in seconds since 1970.
    pub(super) clock_s: Option<i64>,
    /// Where its event service is.
    pub(super) events: Option<String>,
    /// Where the new subscription is.
    pub(super) subscription: Option<Place>,
    /// The words of a fault: its code, its subcodes and its reason.
    pub(super) fault: Option<String>,
}

/// What an answer says. `None`: it is no XML.
pub(super) fn read(text: &str) -> Option<Reply> {
    let texts = texts(text)?;
    let of = |end: &str| texts.iter().find(|found| found.path.ends_with(end)).map(|found| found.text.as_str());
    let number = |end: &str| of(end).and_then(|text| text.parse::<i16>().ok());
    let clock = || {
        let part = |name: &str| number(&format!("UTCDateTime/{name}"));
        let date = jiff::civil::Date::new(
            part("Date/Year")?,
            i8::try_from(part("Date/Month")?).ok()?,
            i8::try_from(part("Date/Day")?).ok()?,
        );
        let small = |name: &str| i8::try_from(part(name)?).ok();
        let time = jiff::civil::Time::new(small("Time/Hour")?, small("Time/Minute")?, small("Time/Second")?, 0);
        let at = date.ok()?.to_datetime(time.ok()?).to_zoned(jiff::tz::TimeZone::UTC).ok()?;
        Some(at.timestamp().as_second())
    };
    let faults = texts.iter().filter(|found| found.path.contains("/Body/Fault/"));
    let fault = faults.map(|found| found.text.as_str()).collect::<Vec<_>>().join(" ");
    let parameters = texts.iter().filter(|found| found.path.contains("SubscriptionReference/ReferenceParameters/"));
    Some(Reply {
        clock_s: clock(),
        events: of("Capabilities/Events/XAddr").map(str::to_owned),
        subscription: of("SubscriptionReference/Address").map(|address| Place {
            address: address.to_owned(),
            parameters: parameters.take(PARAMETERS_MAX).map(Text::as_parameter).collect(),
        }),
        fault: Some(fault).filter(|fault| !fault.is_empty()),
    })
}

/// Text of an element.
struct Text {
    /// The local names down to it: `Envelope/Body/…`.
    path: String,
    namespace: String,
    text: String,
}

impl Text {
    fn as_parameter(&self) -> String {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        format!(
            "<p:{name} xmlns:p=\"{}\" wsa:IsReferenceParameter=\"true\">{}</p:{name}>",
            escape(&self.namespace),
            escape(&self.text)
        )
    }
}

/// The texts of a document. `None`: it is no XML.
fn texts(text: &str) -> Option<Vec<Text>> {
    let mut reader = NsReader::from_str(text);
    let (mut path, mut found, mut told): (Vec<(String, String)>, Vec<Text>, String) = (Vec::new(), Vec::new(), String::new());
    loop {
        let (namespace, event) = reader.read_resolved_event().ok()?;
        match event {
            Event::Start(element) => {
                let namespace = match namespace {
                    ResolveResult::Bound(name) => name.as_ref().to_owned(),
                    _ => String::new(),
                };
                path.push((element.local_name().as_ref().to_owned(), namespace));
                told.clear();
            }
            Event::Text(piece) => told.push_str(&piece),
            Event::GeneralRef(reference) => told.push_str(quick_xml::escape::resolve_predefined_entity(&reference)?),
            Event::End(_) => {
                let said = std::mem::take(&mut told);
                if !said.trim().is_empty() && found.len() < TEXTS_MAX {
                    let names: Vec<&str> = path.iter().map(|(name, _)| name.as_str()).collect();
                    let namespace = path.last().map(|(_, namespace)| namespace.clone()).unwrap_or_default();
                    found.push(Text { path: names.join("/"), namespace, text: said.trim().to_owned() });
                }
                path.pop()?;
            }
            Event::Eof => return Some(found),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use index::model::Secret;

    const NONCE: [u8; 16] = *b"0123456789abcdef";

    #[test]
    fn the_example_of_the_username_token_profile_comes_out() {
        // The digest of nonce, time and password as the profile defines it, worked out with coreutils.
        let signer = Credentials { user: "a<b".to_owned(), password: Secret::new("secret") };
        let at = UtcMicros::from_micros(1_767_323_045_000_000);
        let text = envelope(Question::Clock, &Place::at("http://h/?a=1&b=2"), Some(&signer), NONCE, at);
        let created = at.to_string();
        let mut expected = Sha1::new();
        expected.update([NONCE.as_slice(), created.as_bytes(), b"secret"].concat());
        assert!(text.contains(&BASE64_STANDARD.encode(expected.finalize())), "{text}");
        assert!(text.contains("<wsse:Username>a&lt;b</wsse:Username>") && text.contains("?a=1&amp;b=2"));
        assert!(texts(&text).is_some_and(|texts| texts.len() == 6), "it is XML");
        assert!(!text.contains("secret<"));
    }

    #[test]
    fn what_a_camera_wants_to_read_with_its_subscription_is_said_again() {
        let answer = "<e:Envelope xmlns:e=\"http://www.w3.org/2003/05/soap-envelope\"><e:Body><t:CreatePullPointSubscriptionResponse \
             xmlns:t=\"http://www.onvif.org/ver10/events/wsdl\"><t:SubscriptionReference xmlns:a=\"http://www.w3.org/2005/08/addressing\">\
             <a:Address> http://h/events?x=1&amp;y=2 </a:Address><a:ReferenceParameters><d:Id xmlns:d=\"urn:maker\">3&lt;4</d:Id>\
             </a:ReferenceParameters></t:SubscriptionReference></t:CreatePullPointSubscriptionResponse></e:Body></e:Envelope>";
        let place = read(answer).expect("XML").subscription.expect("a subscription");
        assert_eq!(place.address, "http://h/events?x=1&y=2");
        let text = envelope(Question::Unsubscribe, &place, None, NONCE, UtcMicros::from_micros(0));
        assert!(text.contains("<p:Id xmlns:p=\"urn:maker\" wsa:IsReferenceParameter=\"true\">3&lt;4</p:Id>"), "{text}");
    }

    #[test]
    fn times_and_faults_are_read_and_nonsense_is_none() {
        let time = "<a><Body><SystemDateAndTime><LocalDateTime><Time><Hour>1</Hour></Time></LocalDateTime><UTCDateTime><Time><Hour>13</Hour>\
             <Minute>46</Minute><Second>40</Second></Time><Date><Year>2001</Year><Month>9</Month><Day>9</Day></Date></UTCDateTime>\
             </SystemDateAndTime></Body></a>";
        assert_eq!(read(time).expect("XML").clock_s, Some(1_000_043_200));
        assert_eq!(read(&time.replace("<Month>9", "<Month>99")).expect("XML").clock_s, None);
        let fault = "<e><Body><Fault><Code><Value>s:Sender</Value><Subcode><Value>ter:NotAuthorized</Value></Subcode></Code></Fault></Body></e>";
        assert_eq!(read(fault).expect("XML").fault.as_deref(), Some("s:Sender ter:NotAuthorized"));
        assert_eq!(read("<a></b>"), None);
    }
}
