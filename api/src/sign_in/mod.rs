//! How a person becomes known to the node: a password once, then an opaque cookie.

pub mod logins;
pub mod passwords;
