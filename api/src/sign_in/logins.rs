//! Who is signed in. A login is 256 random bits in a cookie; memory holds only their hash, so neither a dump nor a log of
//! this table can be used to sign in. It lives in memory alone: a restart signs everyone out.

use index::model::{Secret, UtcMicros};
use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

/// At most this many logins at once, and this many of one person; the least recently used one ends for a new one.
const MAX_LOGINS: usize = 4096;
const MAX_PER_PERSON: usize = 16;

/// One person at one browser.
pub struct Login<T> {
    /// What the register calls it; not the cookie, and useless for signing in.
    pub id: String,
    /// Whose it is: the account's name.
    pub person: String,
    /// Where the sign-in came from.
    pub from: IpAddr,
    /// When it began.
    pub since: UtcMicros,
    /// Cancelled when it ends, so that open sockets end with it.
    pub ended: CancellationToken,
    /// What lives as long as the login: purpose and open permits.
    pub belongings: T,
    began: Instant,
    used: Mutex<Instant>,
}

impl<T: Default> Login<T> {
    /// One that no cookie stands for and no table knows: of somebody signed in at a centre above.
    #[must_use]
    pub fn apart(id: String, person: String, from: IpAddr) -> Self {
        let now = Instant::now();
        Self {
            id,
            person,
            from,
            since: UtcMicros::now(),
            ended: CancellationToken::new(),
            belongings: T::default(),
            began: now,
            used: Mutex::new(now),
        }
    }
}

impl<T> Login<T> {
    fn used(&self) -> MutexGuard<'_, Instant> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Drop for Login<T> {
    fn drop(&mut self) {
        self.ended.cancel();
    }
}

/// Who is behind a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Doing {
    /// Somebody who is there: the login is in use.
    Person,
    /// A page left alone, a player: the login goes idle all the same.
    Machine,
}

/// All logins of this node.
pub struct Logins<T> {
    idle: Duration,
    max: Duration,
    table: Mutex<HashMap<[u8; 32], Arc<Login<T>>>>,
}

impl<T: Default> Logins<T> {
    /// A login ends when unused for `idle`, and `max` after it began whatever happens.
    #[must_use]
    pub fn new(idle: Duration, max: Duration) -> Self {
        Self { idle, max, table: Mutex::default() }
    }

    fn table(&self) -> MutexGuard<'_, HashMap<[u8; 32], Arc<Login<T>>>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a login. The secret goes into the cookie and nowhere else.
    pub fn begin(&self, person: &str, from: IpAddr) -> (Secret, Arc<Login<T>>) {
        use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
        let token: [u8; 32] = rand::random();
        let cookie = Secret::new(URL_SAFE_NO_PAD.encode(token));
        let now = Instant::now();
        let login = Arc::new(Login {
            id: uuid::Uuid::now_v7().to_string(),
            person: person.to_owned(),
            from,
            since: UtcMicros::now(),
            ended: CancellationToken::new(),
            belongings: T::default(),
            began: now,
            used: Mutex::new(now),
        });
        let mut table = self.table();
        table.retain(|_, login| self.alive(login, now));
        make_room(&mut table, MAX_PER_PERSON, |login| login.person == person);
        make_room(&mut table, MAX_LOGINS, |_| true);
        table.insert(hash(cookie.expose()), login.clone());
        (cookie, login)
    }

    fn alive(&self, login: &Login<T>, now: Instant) -> bool {
        let alive = now.duration_since(login.began) < self.max && now.duration_since(*login.used()) < self.idle;
        if !alive {
            login.ended.cancel();
        }
        alive
    }

    /// The login a cookie stands for, if it is still good. A person's using it keeps it from going idle.
    #[must_use]
    pub fn find(&self, cookie: &str, doing: Doing) -> Option<Arc<Login<T>>> {
        let key = hash(cookie);
        let mut table = self.table();
        let login = table.get(&key)?.clone();
        if self.alive(&login, Instant::now()) {
            if doing == Doing::Person {
                *login.used() = Instant::now();
            }
            Some(login)
        } else {
            table.remove(&key);
            None
        }
    }

    /// Ends one login.
    pub fn end(&self, id: &str) {
        self.end_where(|login| login.id == id);
    }

    /// Ends all logins of a person, but not `keep`.
    pub fn end_person(&self, person: &str, keep: Option<&str>) {
        self.end_where(|login| login.person == person && Some(login.id.as_str()) != keep);
    }

    /// Ends every login: the node is going down.
    pub fn end_all(&self) {
        self.end_where(|_| true);
    }

    /// Ends what has gone idle or too old, and whatever `keep` no longer knows the person of, so that its sockets close and its
    /// access records end; lets `tidy` look through the belongings of the others. Called now and then.
    pub fn sweep(&self, keep: impl Fn(&str) -> bool, tidy: impl Fn(&T)) {
        let now = Instant::now();
        self.table().retain(|_, login| self.alive(login, now));
        self.end_where(|login| !keep(&login.person));
        let alive: Vec<_> = self.table().values().cloned().collect();
        alive.iter().for_each(|login| tidy(&login.belongings));
    }

    /// How many are signed in.
    #[must_use]
    pub fn count(&self) -> usize {
        self.table().len()
    }

    fn end_where(&self, which: impl Fn(&Login<T>) -> bool) {
        self.table().retain(|_, login| {
            let ends = which(login);
            if ends {
                login.ended.cancel();
            }
            !ends
        });
    }
}

fn make_room<T>(table: &mut HashMap<[u8; 32], Arc<Login<T>>>, limit: usize, of: impl Fn(&Login<T>) -> bool) {
    if table.values().filter(|login| of(login)).count() < limit {
        return;
    }
    let oldest = table.iter().filter(|(_, login)| of(login)).min_by_key(|(_, login)| *login.used()).map(|(key, _)| *key);
    if let Some(login) = oldest.and_then(|key| table.remove(&key)) {
        login.ended.cancel();
    }
}

fn hash(cookie: &str) -> [u8; 32] {
    *blake3::hash(cookie.as_bytes()).as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn logins(idle: Duration, max: Duration) -> Logins<()> {
        Logins::new(idle, max)
    }

    #[test]
    fn a_login_is_found_by_its_cookie_until_it_ends() {
        let logins = logins(Duration::from_secs(60), Duration::from_secs(600));
        let (cookie, login) = logins.begin("wang", HERE);
        assert_eq!(logins.find(cookie.expose(), Doing::Machine).map(|l| l.id.clone()), Some(login.id.clone()));
        assert!(logins.find(&login.id, Doing::Person).is_none(), "the register's name for it signs nobody in");
        logins.end(&login.id);
        assert!(logins.find(cookie.expose(), Doing::Machine).is_none() && login.ended.is_cancelled());
    }

    #[test]
    fn a_login_ends_idle_or_too_old() {
        for logins in [logins(Duration::ZERO, Duration::from_secs(600)), logins(Duration::from_secs(60), Duration::ZERO)] {
            let (cookie, login) = logins.begin("wang", HERE);
            assert!(logins.find(cookie.expose(), Doing::Machine).is_none() && login.ended.is_cancelled());
        }
    }

    #[test]
    fn only_a_persons_doing_keeps_a_login_from_going_idle() {
        let logins = logins(Duration::from_secs(60), Duration::from_secs(600));
        let (cookie, login) = logins.begin("wang", HERE);
        let begun = *login.used();
        assert!(logins.find(cookie.expose(), Doing::Machine).is_some());
        assert_eq!(*login.used(), begun);
        assert!(logins.find(cookie.expose(), Doing::Person).is_some());
        assert!(*login.used() > begun);
    }

    #[test]
    fn a_person_who_signs_in_everywhere_ends_their_own_oldest_login() {
        let logins = logins(Duration::from_secs(60), Duration::from_secs(600));
        let (other, _) = logins.begin("li", HERE);
        let (first, _) = logins.begin("wang", HERE);
        for _ in 0..MAX_PER_PERSON {
            logins.begin("wang", HERE);
        }
        assert!(logins.find(first.expose(), Doing::Machine).is_none() && logins.find(other.expose(), Doing::Machine).is_some());
        logins.end_person("wang", None);
        assert_eq!(logins.count(), 1);
    }
}
