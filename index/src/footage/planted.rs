//! Mistakes that the simulation must notice: each is a place where the store would do the wrong thing if asked to. Only a test can
//! ask; elsewhere [`planted`] is a constant `false`, and the compiler removes the wrong way.

/// A mistake that somebody could make here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Bug {
    /// A commit is announced although nothing was synced.
    SkipSync,
    /// A commit is announced, and then synced.
    AnnounceFirst,
    /// A checksum does not depend on the use of the file.
    NoIncarnation,
    /// What is written to a file that is used again is announced before its header says durably whose it is now.
    ReuseEarly,
    /// Recovery believes that everything behind the first bad record was never acknowledged.
    TruncateAtBad,
    /// A sync that failed is asked for again, and believed.
    RetrySync,
    /// A footer is believed without its checksum, and without a look at the last commit.
    TrustFooter,
    /// Recovery keeps the records of the last commit without reading them whole.
    TrustTail,
    /// A reader gets bytes whose checksum nobody compared.
    TrustPayload,
    /// A new file's name is not made durable.
    ForgetName,
    /// What a disk refuses is dropped.
    DropRefused,
    /// A term is counted by a clock that jumped.
    TrustClock,
}

#[cfg(test)]
impl Bug {
    pub(super) const ALL: [Self; 12] = [
        Self::SkipSync,
        Self::AnnounceFirst,
        Self::NoIncarnation,
        Self::ReuseEarly,
        Self::TruncateAtBad,
        Self::RetrySync,
        Self::TrustFooter,
        Self::TrustTail,
        Self::TrustPayload,
        Self::ForgetName,
        Self::DropRefused,
        Self::TrustClock,
    ];
}

/// Whether the store is to make this mistake.
#[cfg(not(test))]
#[inline(always)]
pub(super) const fn planted(_: Bug) -> bool {
    false
}

#[cfg(test)]
thread_local! {
    static PLANTED: std::cell::Cell<Option<Bug>> = const { std::cell::Cell::new(None) };
}

/// Whether the store is to make this mistake.
#[cfg(test)]
pub(super) fn planted(bug: Bug) -> bool {
    PLANTED.get() == Some(bug)
}

/// Lets the store make a mistake, on this thread, until the next call.
#[cfg(test)]
pub(super) fn plant(bug: Option<Bug>) {
    PLANTED.set(bug);
}

#[test]
fn a_mistake_is_made_only_where_and_while_a_test_asks_for_it() {
    for bug in Bug::ALL {
        assert!(!planted(bug), "{bug:?}");
        plant(Some(bug));
        assert!(Bug::ALL.iter().all(|other| planted(*other) == (*other == bug)), "{bug:?}");
        plant(None);
    }
}
