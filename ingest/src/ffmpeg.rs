//! What both users of FFmpeg's libraries share: their one initialisation.

use std::sync::Once;

/// Makes FFmpeg ready and silent. Its log goes to standard error and repeats addresses with passwords in them (I12); what
/// matters comes back as errors.
pub(crate) fn ready() {
    static READY: Once = Once::new();
    READY.call_once(|| {
        ffmpeg_next::log::set_level(ffmpeg_next::log::Level::Quiet);
        ffmpeg_next::format::network::init();
    });
}
