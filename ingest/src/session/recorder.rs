//! Units on their way: onto the node's clock, to whoever watches, into fragments, to the store. Nothing here waits.

use super::source::{Item, RawUnit};
use crate::{
    CameraEventKind,
    assemble::{Assembler, Pushed, Terms, end_of},
    live::Channel,
    shedding::{self, Pressure, Verdict},
    status::Shared,
    supervisor::Room,
    timeline::Timeline,
};
use index::{
    footage::Draft,
    model::{AccessUnit, GapCause, StreamId, TrackKind, Tracks, UtcMicros, Window},
};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// One stream's way from driver to store. Lives as long as the stream is configured.
pub(crate) struct Recorder {
    room: Arc<Room>,
    stream: StreamId,
    terms: Terms,
    channel: Arc<Channel>,
    shared: Arc<Shared>,
    timeline: Timeline,
    assembler: Assembler,
    tracks: Option<Arc<Tracks>>,
    begun_run: Option<u32>,
    /// The first recordable unit of this session.
    began: Option<UtcMicros>,
    /// Where the newest fragment ends.
    ended: Option<UtcMicros>,
    backlog: VecDeque<Draft>,
    /// The pressure on the volume that last gave a fragment back.
    pressure: Option<Arc<Mutex<Pressure>>>,
    shed: u64,
    /// Where pictures were lost on the way since the last fragment, and how many.
    losses: Option<(Window, u32)>,
    /// The picture that ends the newest of those losses is still to come.
    losing: bool,
    batch: Vec<AccessUnit>,
}

/// What a batch held.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Taken {
    /// Pictures.
    pub(crate) video: bool,
    /// Pictures that may be stored.
    pub(crate) recordable: bool,
}

impl Recorder {
    pub(crate) fn new(room: Arc<Room>, terms: Terms, channel: Arc<Channel>, shared: Arc<Shared>) -> Self {
        Self {
            stream: terms.stream,
            room,
            terms,
            channel,
            shared,
            timeline: Timeline::new(),
            assembler: Assembler::new(terms),
            tracks: None,
            begun_run: None,
            began: None,
            ended: None,
            backlog: VecDeque::new(),
            pressure: None,
            shed: 0,
            losses: None,
            losing: false,
            batch: Vec::new(),
        }
    }

    /// A session begins: nothing is known of the camera's clock or parameters.
    pub(crate) fn begin_session(&mut self) {
        self.timeline.begin_session();
        self.tracks = None;
        self.begun_run = None;
        self.began = None;
    }

    /// A session ended: what is open is handed to the store. Returns where this stream's recording ends, if this session
    /// recorded anything.
    pub(crate) fn end_session(&mut self) -> Option<UtcMicros> {
        let rest = self.assembler.flush(self.timeline.clock());
        self.submit(rest);
        self.retry();
        self.tell_losses();
        self.channel.broken();
        self.shared.update(&self.timeline);
        // Asked again, the answer is none: this session's end is told once.
        self.began.take().and(self.ended)
    }

    /// As [`Recorder::end_session`], when no other follows: what the store did not take by now is given up, and said.
    pub(crate) fn finish(&mut self) -> Option<UtcMicros> {
        let ended = self.end_session();
        for draft in std::mem::take(&mut self.backlog) {
            self.shed(draft.window(), draft.units.len());
        }
        ended
    }

    /// When this session's first recordable unit was filmed.
    pub(crate) fn began(&self) -> Option<UtcMicros> {
        self.began
    }

    /// Takes a batch from the driver.
    pub(crate) fn take(&mut self, items: &mut Vec<Item>) -> Taken {
        let mut taken = Taken::default();
        for item in items.drain(..) {
            match item {
                Item::Tracks(tracks) => self.describe(tracks),
                Item::Unit(unit) => self.unit(unit, &mut taken),
                Item::SenderReport { track, rtp, camera, received } => {
                    self.timeline.sender_report(track, rtp, camera, received);
                }
                Item::Lost(packets) => {
                    self.shared.lost_rtp_packets(packets);
                    self.lost(0);
                }
                Item::Damaged(pictures) => self.lost(pictures),
                Item::Overrun(packets) => self.shared.lost_kernel_packets(packets),
            }
        }
        self.publish();
        taken
    }

    fn describe(&mut self, tracks: Arc<Tracks>) {
        self.publish();
        if self.tracks.as_ref().is_some_and(|known| known.video != tracks.video) {
            self.room.tell(self.stream, CameraEventKind::ParametersChanged);
            self.timeline.begin_run();
        }
        self.shared.describe(&tracks.video);
        self.channel.tracks(&tracks);
        self.tracks = Some(tracks);
        self.begun_run = None;
    }

    fn unit(&mut self, raw: RawUnit, taken: &mut Taken) {
        let video = raw.track == TrackKind::Video;
        let stamp = self.timeline.stamp(raw.track, raw.key, raw.arrival);
        let unit = AccessUnit {
            track: raw.track,
            key: raw.key,
            decode: stamp.decode,
            present: stamp.present,
            utc: stamp.utc,
            received: raw.arrival.received,
            rtp: raw.arrival.rtp,
            data: raw.data,
        };
        self.shared.count(&unit);
        if raw.track == TrackKind::Metadata {
            (self.room.on_metadata)(self.stream, unit.received, &unit.data);
        }
        taken.video |= video;
        if let (true, true, Some((window, _))) = (video, self.losing, &mut self.losses) {
            window.to = window.to.max(unit.utc);
            self.losing = false;
        }
        let Some(tracks) = &self.tracks else {
            self.shared.undecodable();
            return;
        };
        let run = self.timeline.run();
        if self.begun_run != Some(run) {
            let tracks = Arc::clone(tracks);
            self.begun_run = Some(run);
            let rest = self.assembler.begin_run(run, tracks, self.timeline.clock());
            self.submit(rest);
            if let Some(by_ms) = self.timeline.take_step() {
                self.room.tell(self.stream, CameraEventKind::ClockStep { by_ms });
            }
        }
        if video
            && unit.key
            && let Some(tracks) = &self.tracks
        {
            self.room.pictures.offer(self.stream, tracks, &unit);
        }
        self.batch.push(unit.clone());
        let utc = unit.utc;
        let pushed = self.assembler.push(unit, self.timeline.clock());
        if pushed.undecodable {
            self.shared.undecodable();
        } else if video {
            taken.recordable = true;
            self.began.get_or_insert(utc);
        }
        self.act(pushed);
    }

    fn act(&mut self, pushed: Pushed) {
        let Pushed { draft, pause, .. } = pushed;
        let whole = draft.is_some();
        self.submit(draft);
        if let Some(at) = pause {
            self.room.store.mark(self.stream, at, GapCause::CameraSilent, "the camera paused");
        }
        if whole {
            self.shared.update(&self.timeline);
            self.tell_losses();
        }
    }

    /// What was lost on the way is lost between the last picture and the next one. The ledger hears of it once a fragment,
    /// however bad the way is. Pictures after it are stored as they come, though they may not decode cleanly before the next
    /// key unit: they are what was received (I4).
    fn lost(&mut self, pictures: u32) {
        let Some(last) = self.shared.last_unit().filter(|_| self.began.is_some()) else { return };
        let (window, lost) = self.losses.get_or_insert((Window::new(last, last), 0));
        window.to = window.to.max(last + Duration::from_millis(40));
        *lost += pictures;
        self.losing = true;
    }

    fn tell_losses(&mut self) {
        if let Some((window, pictures)) = self.losses.take() {
            self.losing = false;
            // Packets went missing and no driver said which pictures they were: at least one.
            self.room.store.lost(self.stream, window, GapCause::Network, pictures.max(1));
        }
    }

    fn publish(&mut self) {
        self.channel.publish(&self.batch);
        self.batch.clear();
    }

    fn submit(&mut self, draft: Option<Draft>) {
        let Some(draft) = draft else { return };
        self.ended = end_of(&draft).or(self.ended);
        if let Some(ends) = end_of(&draft) {
            self.shared.hands_over(ends, Instant::now());
        }
        self.backlog.push_back(draft);
        self.shed_by_rule();
        self.retry();
    }

    /// Gives up of what waits what the rule says.
    fn shed_by_rule(&mut self) {
        let verdict = self.verdict();
        if verdict == Verdict::Keep {
            return;
        }
        for mut draft in std::mem::take(&mut self.backlog) {
            let (window, before) = (draft.window(), draft.units.len());
            match verdict {
                Verdict::Keep => {}
                Verdict::KeyUnitsOnly => drop(shedding::thin(&mut draft)),
                Verdict::Drop => draft.units.clear(),
            }
            self.shed(window, before - draft.units.len());
            if !draft.units.is_empty() {
                self.backlog.push_back(draft);
            }
        }
    }

    /// Gives the store what waits, oldest first, until it refuses.
    fn retry(&mut self) {
        while let Some(draft) = self.backlog.pop_front() {
            let units = draft.units.len() as u64;
            match self.room.store.append(draft) {
                Ok(()) => self.shared.stored(units),
                Err(full) => {
                    let pressure = self.room.volumes.named(&full.volume);
                    pressure.lock().unwrap_or_else(PoisonError::into_inner).refused(Instant::now());
                    self.pressure = Some(pressure);
                    self.backlog.push_front(*full.draft);
                    break;
                }
            }
        }
        while self.backlog.len() > shedding::backlog(self.stream.kind, self.terms.priority) {
            if let Some(oldest) = self.backlog.pop_front() {
                self.shed(oldest.window(), oldest.units.len());
            }
        }
    }

    fn verdict(&mut self) -> Verdict {
        let Some(pressure) = &self.pressure else { return Verdict::Keep };
        let now = Instant::now();
        let mut volume = pressure.lock().unwrap_or_else(PoisonError::into_inner);
        let verdict = volume.verdict(self.stream.kind, self.terms.priority, now);
        if volume.is_over(now) {
            drop(volume);
            self.pressure = None;
            self.shed = 0;
        }
        verdict
    }

    fn shed(&mut self, window: Window, units: usize) {
        if units == 0 {
            return;
        }
        self.room.store.lost(self.stream, window, GapCause::OurQueue, u32::try_from(units).unwrap_or(u32::MAX));
        self.shared.shed(units as u64);
        if self.shed == 0 {
            self.room.tell(self.stream, CameraEventKind::Shedding { units: units as u64 });
        }
        self.shed += units as u64;
    }
}
