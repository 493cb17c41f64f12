use super::*;
use crate::access::Scope;
use crate::model::NodeId;
use std::{collections::BTreeSet, fs};

struct Fixture {
    dir: tempfile::TempDir,
    journal: Arc<Journal>,
    accounts: Accounts,
}

fn fixture() -> Fixture {
    let dir = tempfile::tempdir().expect("a directory");
    let journal = Journal::open(&dir.path().join("journal"), NodeId::from_bytes([7; 16])).expect("a journal");
    let accounts = Accounts::open(&dir.path().join("people.json"), Arc::clone(&journal)).expect("no people yet");
    Fixture { dir, journal, accounts }
}

fn account(name: &str, roles: &[Role]) -> Account {
    Account {
        person: Person {
            name: name.into(),
            display: "李明".into(),
            unit: "东苑社区".into(),
            roles: roles.iter().copied().collect(),
            scopes: vec![Scope::Everything],
            must_change_password: false,
        },
        password: PasswordHash::new("$argon2id$canary-hash"),
        disabled: false,
        staff_expires: None,
    }
}

fn by(name: &str) -> Actor {
    Actor::Person { name: name.into(), from: [127, 0, 0, 1].into() }
}

#[test]
fn accounts_survive_a_restart_and_their_hashes_never_reach_the_journal() {
    let Fixture { dir, journal, accounts } = fixture();
    accounts.add(&Actor::Shell, account("li.ming", &[Role::Operator])).expect("added");
    accounts.set_password(&by("li.ming"), "li.ming", PasswordHash::new("$argon2id$canary-two"), false).expect("set");
    let again = Accounts::open(&dir.path().join("people.json"), Arc::clone(&journal)).expect("readable");
    assert_eq!(again.list(), accounts.list());
    assert_eq!(again.get("li.ming").expect("there").password.expose(), "$argon2id$canary-two");
    let entries = journal.read(Default::default(), 10).expect("readable");
    assert_eq!(entries.iter().map(|e| e.kind.as_str()).collect::<Vec<_>>(), ["person.added", "person.password"]);
    assert!(!format!("{entries:?} {accounts:?} {:?}", accounts.list()).contains("canary"));
}

#[test]
fn nobody_changes_their_own_rights_and_an_administrator_is_always_left() {
    let Fixture { dir: _dir, accounts, .. } = fixture();
    accounts.add(&Actor::Shell, account("root", &[Role::Admin])).expect("added");
    accounts.add(&by("root"), account("li", &[Role::Operator])).expect("added");
    let raise = Change { roles: Some(BTreeSet::from([Role::Admin, Role::Operator])), ..Change::default() };
    assert!(matches!(accounts.change(&by("root"), "root", raise.clone()), Err(AccountsError::OwnRights)));
    assert!(accounts.change(&by("root"), "root", Change { display: Some("王芳".into()), ..Change::default() }).is_ok());
    let disable = Change { disabled: Some(true), ..Change::default() };
    assert!(matches!(accounts.change(&Actor::Shell, "root", disable.clone()), Err(AccountsError::LastAdmin)));
    accounts.change(&by("root"), "li", raise).expect("raised by another");
    accounts.change(&by("li"), "root", disable).expect("one administrator is left");
}

#[test]
fn a_disabled_or_expired_account_has_no_person_at_once() {
    let Fixture { dir: _dir, accounts, .. } = fixture();
    let mut expiring = account("li", &[Role::Operator]);
    expiring.staff_expires = Some(UtcMicros::from_micros(100));
    accounts.add(&Actor::Shell, expiring).expect("added");
    assert!(accounts.person("li", UtcMicros::from_micros(99)).is_ok());
    assert_eq!(accounts.person("li", UtcMicros::from_micros(100)), Err(Barred::Expired));
    accounts.change(&Actor::Shell, "li", Change { disabled: Some(true), ..Change::default() }).expect("changed");
    assert_eq!(accounts.person("li", UtcMicros::from_micros(99)), Err(Barred::Disabled));
    assert_eq!(accounts.person("nobody", UtcMicros::from_micros(99)), Err(Barred::Unknown));
}

#[test]
fn an_account_that_breaks_a_rule_is_refused() {
    let Fixture { dir: _dir, accounts, .. } = fixture();
    let mut cases: Vec<(Account, AccountError)> = ["", "Li", "7li", "li ming", "李明", "-li", &"l".repeat(33)]
        .map(|name| (account(name, &[Role::Operator]), AccountError::Name))
        .into();
    cases.push((account("li", &[]), AccountError::NoRole));
    cases.push((account("li", &[Role::Auditor, Role::Operator]), AccountError::AuditorApart));
    cases.push((account("li", &[Role::Auditor, Role::Admin]), AccountError::AuditorApart));
    let mut nowhere = account("li", &[Role::Operator]);
    nowhere.person.scopes = vec![Scope::Place(vec![])];
    cases.push((nowhere, AccountError::Scope));
    let mut nameless = account("li", &[Role::Operator]);
    nameless.person.display = " ".into();
    cases.push((nameless, AccountError::Display));
    for (account, why) in cases {
        let result = accounts.add(&Actor::Shell, account);
        assert!(matches!(result, Err(AccountsError::Account(error)) if error == why), "{result:?}, expected {why:?}");
    }
    assert!(accounts.list().is_empty());
}

#[test]
fn an_account_cannot_be_added_twice() {
    let Fixture { dir: _dir, accounts, .. } = fixture();
    accounts.add(&Actor::Shell, account("li", &[Role::Operator])).expect("added");
    assert!(matches!(accounts.add(&Actor::Shell, account("li", &[Role::Admin])), Err(AccountsError::Exists)));
}

#[test]
fn a_file_that_does_not_read_back_is_refused_and_kept() {
    let Fixture { dir, journal, accounts } = fixture();
    accounts.add(&Actor::Shell, account("li", &[Role::Operator])).expect("added");
    let path = dir.path().join("people.json");
    let good = fs::read_to_string(&path).expect("readable");
    for bad in [
        String::new(),
        good.replace("\"version\": 1", "\"version\": 2"),
        good.replace("\"disabled\"", "\"disabld\""),
        good.replace("operator", "auditor\", \"admin"),
        good.replace("li", "LI"),
        good[..good.len() / 2].to_owned(),
    ] {
        fs::write(&path, &bad).expect("writable");
        let error = Accounts::open(&path, Arc::clone(&journal)).expect_err("refused");
        assert!(matches!(&error, AccountsError::Damaged { .. }) && !error.to_string().contains("canary"), "{error}");
        assert_eq!(fs::read_to_string(&path).expect("kept"), bad);
    }
}

#[test]
fn a_change_that_cannot_be_journalled_is_not_made() {
    let Fixture { dir, journal, accounts } = fixture();
    journal.close();
    assert!(matches!(accounts.add(&Actor::Shell, account("li", &[Role::Operator])), Err(AccountsError::Journal(_))));
    assert!(accounts.list().is_empty() && !dir.path().join("people.json").exists());
}
