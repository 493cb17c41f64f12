//! Oddities of session descriptions.

use super::{
    Act::{Sdp, SdpAt},
    Quirk,
};
use base64::{Engine, engine::general_purpose::STANDARD};

/// The lines without those that begin so.
fn without(text: &str, start: &str) -> String {
    text.split_inclusive("\r\n").filter(|line| !line.starts_with(start)).collect()
}

/// Cuts a parameter out of every `a=fmtp` line.
fn without_parameter(text: &str, name: &str) -> String {
    let cut = |line: &str| {
        let Some((head, parameters)) = line.strip_prefix("a=fmtp:").and_then(|rest| rest.split_once(' ')) else {
            return line.to_owned();
        };
        let kept: Vec<_> = parameters.trim_end().split(';').filter(|part| !part.starts_with(name)).collect();
        format!("a=fmtp:{head} {}\r\n", kept.join(";"))
    };
    text.split_inclusive("\r\n").map(cut).collect()
}

/// Without parameter sets of either codec.
pub(super) fn without_sets(text: &str) -> String {
    without_parameter(text, "sprop")
}

/// Two more bytes behind the SPS of H.264.
fn with_longer_sps(text: &str) -> String {
    const NAME: &str = "sprop-parameter-sets=";
    let Some((head, rest)) = text.split_once(NAME) else { return text.to_owned() };
    let (sps, tail) = rest.split_at(rest.find(',').unwrap_or(0));
    let mut bytes = STANDARD.decode(sps).unwrap_or_default();
    bytes.extend([0, 0]);
    format!("{head}{NAME}{}{tail}", STANDARD.encode(bytes))
}

pub(super) const TABLE: &[Quirk] = &[
    Quirk {
        id: "Q07",
        says: "a=control begins with a slash (mediamtx#3517, go2rtc#1236)",
        acts: Sdp(|text| text.replace("a=control:trackID", "a=control:/trackID")),
    },
    Quirk {
        id: "Q08",
        says: "a=control carries the whole address (mediamtx#683, retina#9)",
        acts: SdpAt(|text, base| text.replace("a=control:trackID", &format!("a=control:{base}/trackID"))),
    },
    Quirk {
        id: "Q24",
        says: "Uniview: o=- 1001 1 IN, c=IN without address (go2rtc#1426, mediamtx#5033)",
        acts: Sdp(|text| without(&text, "c=").replacen("IN IP4 127.0.0.1\r\n", "IN\r\nc=IN\r\n", 1)),
    },
    Quirk { id: "Q25", says: "o= is missing (retina#52)", acts: Sdp(|text| without(&text, "o=")) },
    Quirk {
        id: "Q26",
        says: "o= with decimals and IPV4 (mediamtx#2555, #2128)",
        acts: Sdp(|text| text.replacen("IN IP4", "1.5 IN IPV4", 1)),
    },
    Quirk { id: "Q27", says: "v= is missing (gortsplib#448)", acts: Sdp(|text| without(&text, "v=")) },
    Quirk { id: "Q28", says: "s= is missing (gortsplib#439)", acts: Sdp(|text| without(&text, "s=")) },
    Quirk {
        id: "Q29",
        says: "m=application/TP-LINK and other unknown media (mediamtx#990, moonfire-nvr#238)",
        acts: Sdp(|text| {
            text + "m=application/TP-LINK 0 RTP/AVP smart/1/90000\r\na=rtpmap:95 TP-LINK/90000\r\na=control:track9\r\n"
        }),
    },
    Quirk {
        id: "Q30",
        says: "a=rtpmap ends in a space (moonfire-nvr#213)",
        acts: Sdp(|text| text.replace("/90000\r\n", "/90000 \r\n")),
    },
    Quirk {
        id: "Q31",
        says: "an a=fmtp without parameters stands beside the good one (retina#65, UniFi)",
        acts: Sdp(|text| text.replacen("a=fmtp:96 ", "a=fmtp:96\r\na=fmtp:96 ", 1)),
    },
    Quirk {
        id: "Q32",
        says: "the parameters of video stand at the end, behind another track (WebRTC#419)",
        acts: Sdp(|text| {
            let moved = text.lines().find(|line| line.starts_with("a=fmtp:96 ")).unwrap_or("a=x").to_owned();
            without(&text, "a=fmtp:96 ") + &moved + "\r\n"
        }),
    },
    Quirk {
        id: "Q33",
        says: "no parameter sets in the description (retina#42, mediamtx#411)",
        acts: Sdp(|text| without_sets(&text)),
    },
    Quirk {
        id: "Q33b",
        says: "the parameter sets are no base64 (mediamtx#707)",
        acts: Sdp(|text| {
            text.replace("sprop-parameter-sets=", "sprop-parameter-sets=%%%")
                .replace("sprop-sps=", "sprop-sps=%%%")
                .replace("sprop-vps=", "sprop-vps=%%%")
        }),
    },
    Quirk {
        id: "Q37",
        says: "SPS with trailing bytes in the description (retina#102)",
        acts: Sdp(|text| with_longer_sps(&text)),
    },
    Quirk { id: "Q36", says: "H.265 without VPS (go2rtc#1588)", acts: Sdp(|text| without_parameter(&text, "sprop-vps")) },
    Quirk { id: "Q38", says: "an absurd clock rate (mediamtx#832)", acts: Sdp(|text| text.replacen("/90000\r\n", "/0\r\n", 1)) },
    Quirk {
        id: "Q39",
        says: "a back channel listed among the tracks (mediamtx#5074)",
        acts: Sdp(|text| text + "m=audio 0 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na=control:track8\r\na=sendonly\r\n"),
    },
    Quirk {
        id: "Q40",
        says: "packetization-mode is absent, yet fragments are sent (gortsplib#1092)",
        acts: Sdp(|text| without_parameter(&text, "packetization-mode")),
    },
    Quirk {
        id: "Q108",
        says: "video in a codec that is not recorded: motion JPEG (gortsplib#583)",
        acts: Sdp(|text| text.replace("H264/90000", "JPEG/90000").replace("H265/90000", "JPEG/90000")),
    },
    Quirk {
        id: "Q112",
        says: "sound as MP4A-LATM (gortsplib#299)",
        acts: Sdp(|text| text.replace("mpeg4-generic/", "MP4A-LATM/").replace("PCMA/", "MP4A-LATM/")),
    },
    Quirk {
        id: "Q115",
        says: "sound in G.723.1 (Dahua)",
        acts: Sdp(|text| text.replace("mpeg4-generic/", "G723/").replace("PCMA/", "G723/")),
    },
    Quirk { id: "Q109", says: "AAC without config", acts: Sdp(|text| without_parameter(&text, "config")) },
    Quirk {
        id: "Q113",
        says: "G.711 without a=rtpmap (gortsplib#511)",
        acts: Sdp(|text| without(&without(&text, "a=rtpmap:8 "), "a=rtpmap:0 ")),
    },
];
