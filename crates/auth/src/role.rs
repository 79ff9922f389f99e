//! What a request needs, and which role has it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What a request needs of whoever makes it. In order: each needs all that those before it do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// Nothing: whether the server is well is for everybody.
    Nothing,
    /// To be told what is there.
    Read,
    /// To store.
    Write,
    /// To remove.
    Administer,
}

/// What somebody may do, within what they reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Fetches.
    Reader,
    /// Fetches, and stores where nobody else fetches.
    Overlay,
    /// Fetches and stores.
    Writer,
    /// Fetches, stores and removes.
    Admin,
}

impl Role {
    /// All of them.
    pub const ALL: [Role; 4] = [Role::Reader, Role::Overlay, Role::Writer, Role::Admin];

    /// As it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Role::Reader => "reader",
            Role::Overlay => "overlay",
            Role::Writer => "writer",
            Role::Admin => "admin",
        }
    }

    pub(crate) fn has(self, need: Need) -> bool {
        let most = match self {
            Role::Reader => Need::Read,
            Role::Overlay | Role::Writer => Need::Write,
            Role::Admin => Need::Administer,
        };
        need <= most
    }

    /// The least role that has it.
    pub(crate) fn for_need(need: Need) -> Role {
        [Role::Reader, Role::Writer].into_iter().find(|role| role.has(need)).unwrap_or(Role::Admin)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Role, String> {
        let role = Role::ALL.into_iter().find(|role| role.name() == text);
        role.ok_or_else(|| format!("expected {}", Role::ALL.map(Role::name).join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_has_what_it_needs_and_no_more() {
        use Need::{Administer, Nothing, Read, Write};
        let has = |role: Role| [Nothing, Read, Write, Administer].map(|need| role.has(need));
        assert_eq!(has(Role::Reader), [true, true, false, false]);
        assert_eq!(has(Role::Writer), [true, true, true, false]);
        assert_eq!(has(Role::Overlay), has(Role::Writer), "where, is another question");
        assert_eq!(has(Role::Admin), [true; 4]);
        for role in Role::ALL {
            assert_eq!(role.name().parse(), Ok(role));
        }
    }
}
