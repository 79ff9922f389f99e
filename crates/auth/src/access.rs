//! What a request may do and reach. The tenant comes from the identity: a request may name it, and can name no other.

use std::sync::Arc;
use std::time::Duration;

use kura_cache::{Namespace, Overlay, Scope, Tenant};

use crate::role::{Need, Role};

/// Somebody who is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Whose artifacts.
    pub tenant: Tenant,
    /// Which of them.
    pub reach: Reach,
    /// What may be done.
    pub role: Role,
    /// Of the role `overlay`: the one that is written to, over each of the namespaces. None for the others.
    pub overlay: Option<Overlay>,
    /// What stands for it in logs and beside what it stores. No secret.
    pub name: Arc<str>,
}

impl Identity {
    /// Which overlay a request acts in that names this one, or none.
    fn overlay(&self, named: Option<Overlay>) -> Result<Option<Overlay>, Denied> {
        match (&self.overlay, named) {
            (own, None) => Ok(own.clone()),
            (Some(own), Some(named)) if *own == named => Ok(Some(named)),
            (None, Some(named)) if self.role == Role::Admin => Ok(Some(named)),
            _ => Err(Denied::Overlay),
        }
    }
}

/// Namespaces of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// All of them; who names none gets the default one.
    All,
    /// These; who names none gets the first.
    Some(Vec<Namespace>),
}

impl Reach {
    /// These; all, if there are none.
    #[must_use]
    pub fn of(namespaces: Vec<Namespace>) -> Reach {
        if namespaces.is_empty() { Reach::All } else { Reach::Some(namespaces) }
    }

    fn resolve(&self, named: Option<Namespace>) -> Result<Namespace, Denied> {
        match (self, named) {
            (Reach::All, named) => Ok(named.unwrap_or_default()),
            (Reach::Some(all), Some(named)) if !all.contains(&named) => Err(Denied::Namespace(named)),
            (Reach::Some(_), Some(named)) => Ok(named),
            (Reach::Some(all), None) => Ok(all.first().cloned().unwrap_or_default()),
        }
    }
}

/// What a request says of where it acts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Named {
    /// Whose.
    pub tenant: Option<Tenant>,
    /// Which part of it.
    pub namespace: Option<Namespace>,
    /// Which overlay of that.
    pub overlay: Option<Overlay>,
}

/// When to come back after too many logins that failed.
pub const AFTER_FAILURES: Duration = Duration::from_secs(30);

/// Why somebody is not known. Its text goes to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unidentified {
    /// Without a credential.
    #[error("this cache asks for a token: send it as a bearer token, or as the password of basic authentication")]
    Missing,
    /// What is no credential.
    #[error(
        "the credentials cannot be read: send one header Authorization, with a bearer token, or a token as the password"
    )]
    Malformed,
    /// A token that nobody has.
    #[error("the token is not known: it is wrong, or was revoked")]
    Unknown,
    /// A token of an issuer that no rule names.
    #[error("the token is of an issuer that is not trusted here")]
    Issuer,
    /// A token for somebody else.
    #[error("the token is for another audience: ask its issuer for one for this cache")]
    Audience,
    /// One whose time has not come.
    #[error("the token is not good yet: is a clock wrong?")]
    NotYet,
    /// One that says nothing that a rule is about.
    #[error("the token is good, and no rule says what it may do")]
    NoRule,
    /// Nobody can tell now.
    #[error("the keys of the token's issuer cannot be fetched now: come back later")]
    NoKeys,
    /// After too many others that were not known.
    #[error("too many logins failed from this address: come back later")]
    TooOften,
    /// One whose time is over.
    #[error("the token has expired: ask for a new one")]
    Expired,
}

/// Why a request may not be carried out. Its text goes to the client: it says nothing that its token and itself do not say.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// Nobody knows who asks.
    #[error(transparent)]
    Unidentified(#[from] Unidentified),
    /// The role is not enough.
    #[error("this takes the role {needed}, and the token has the role {has}")]
    Role {
        /// The least that is.
        needed: Role,
        /// What is there.
        has: Role,
    },
    /// Another tenant's.
    #[error("the token is of the tenant {}, and the request names another one", .0.as_str())]
    Tenant(Tenant),
    /// Out of reach.
    #[error("the token is not for the namespace {}", .0.as_str())]
    Namespace(Namespace),
    /// Another's.
    #[error("overlays are for those who write to them, and for admins")]
    Overlay,
    /// What tells of all tenants.
    #[error("what tells of the whole server is for tokens of the tenant default that are for all its namespaces")]
    Server,
}

/// What a request may do and reach.
#[derive(Debug, Clone)]
pub struct Access(Who);

#[derive(Debug, Clone)]
enum Who {
    /// Nobody is asked who they are.
    Anyone,
    Nobody(Unidentified),
    Known(Arc<Identity>),
}

impl Access {
    /// Of a server that asks nobody who they are.
    #[must_use]
    pub fn anyone() -> Access {
        Access(Who::Anyone)
    }

    /// Of somebody who is not known.
    #[must_use]
    pub fn nobody(why: Unidentified) -> Access {
        Access(Who::Nobody(why))
    }

    /// Of somebody who is.
    #[must_use]
    pub fn of(identity: Arc<Identity>) -> Access {
        Access(Who::Known(identity))
    }

    /// Whether what needs that may be done, somewhere.
    ///
    /// # Errors
    /// `Unidentified`, `Role`.
    pub fn permits(&self, need: Need) -> Result<(), Denied> {
        match &self.0 {
            Who::Anyone => Ok(()),
            _ if need == Need::Nothing => Ok(()),
            Who::Nobody(why) => Err((*why).into()),
            Who::Known(identity) if identity.role.has(need) => Ok(()),
            Who::Known(identity) => Err(Denied::Role { needed: Role::for_need(need), has: identity.role }),
        }
    }

    /// Whether it may be told how the whole server does.
    ///
    /// # Errors
    /// `Unidentified`, `Server`.
    pub fn oversees(&self) -> Result<(), Denied> {
        self.permits(Need::Read)?;
        match &self.0 {
            Who::Known(identity)
                if identity.tenant != Tenant::default()
                    || identity.reach != Reach::All
                    || identity.role == Role::Overlay =>
            {
                Err(Denied::Server)
            }
            _ => Ok(()),
        }
    }

    /// Where a request acts that says this of it.
    ///
    /// # Errors
    /// `Unidentified`, `Tenant`, `Namespace`.
    pub fn scope(&self, named: Named) -> Result<Scope, Denied> {
        match &self.0 {
            Who::Anyone => Ok(Scope {
                tenant: named.tenant.unwrap_or_default(),
                namespace: named.namespace.unwrap_or_default(),
                overlay: named.overlay,
            }),
            Who::Nobody(why) => Err((*why).into()),
            Who::Known(identity) => {
                if named.tenant.is_some_and(|tenant| tenant != identity.tenant) {
                    return Err(Denied::Tenant(identity.tenant.clone()));
                }
                Ok(Scope {
                    tenant: identity.tenant.clone(),
                    namespace: identity.reach.resolve(named.namespace)?,
                    overlay: identity.overlay(named.overlay)?,
                })
            }
        }
    }

    /// Whose request it is; nothing, where nobody knows.
    #[must_use]
    pub fn tenant(&self) -> Option<&Tenant> {
        match &self.0 {
            Who::Known(identity) => Some(&identity.tenant),
            Who::Anyone | Who::Nobody(_) => None,
        }
    }

    /// What stands for who asks in logs and beside what they store.
    #[must_use]
    pub fn name(&self) -> Option<&Arc<str>> {
        match &self.0 {
            Who::Known(identity) => Some(&identity.name),
            Who::Anyone | Who::Nobody(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(tenant: &str, namespaces: &[&str], role: Role) -> Access {
        let namespaces = namespaces.iter().map(|name| Namespace::parse((*name).to_owned()).unwrap()).collect();
        let tenant = Tenant::parse(tenant.to_owned()).unwrap();
        Access::of(Arc::new(Identity { tenant, reach: Reach::of(namespaces), role, overlay: None, name: "t".into() }))
    }

    fn named(tenant: Option<&str>, namespace: Option<&str>) -> Named {
        Named {
            tenant: tenant.map(|name| Tenant::parse(name.to_owned()).unwrap()),
            namespace: namespace.map(|name| Namespace::parse(name.to_owned()).unwrap()),
            overlay: None,
        }
    }

    fn at(access: &Access, tenant: Option<&str>, namespace: Option<&str>) -> Option<String> {
        let scope = access.scope(named(tenant, namespace)).ok()?;
        Some(format!("{}/{}", scope.tenant.as_str(), scope.namespace.as_str()))
    }

    #[test]
    fn a_request_acts_in_the_tenant_of_who_makes_it_whatever_it_names() {
        let all = known("acme", &[], Role::Writer);
        assert_eq!(at(&all, None, None).as_deref(), Some("acme/default"));
        assert_eq!(at(&all, Some("acme"), Some("ios")).as_deref(), Some("acme/ios"));
        assert_eq!(at(&all, Some("default"), None), None);
        assert_eq!(at(&all, Some("other"), Some("ios")), None);
    }

    #[test]
    fn who_reaches_some_namespaces_gets_the_first_and_no_others() {
        let some = known("acme", &["ios", "web"], Role::Writer);
        assert_eq!(at(&some, None, None).as_deref(), Some("acme/ios"));
        assert_eq!(at(&some, None, Some("web")).as_deref(), Some("acme/web"));
        assert_eq!(at(&some, None, Some("default")), None);
        assert_eq!(at(&some, None, Some("ios/web")), None);
    }

    #[test]
    fn who_has_an_overlay_acts_in_it_and_only_admins_in_those_of_others() {
        let overlay = |name: &'static str| Some(Overlay::parse(name).unwrap());
        let identity = Identity {
            tenant: Tenant::default(),
            reach: Reach::All,
            role: Role::Overlay,
            overlay: overlay("pr/1"),
            name: "t".into(),
        };
        let named = |overlay: Option<Overlay>| Named { overlay, ..Named::default() };
        let own = Access::of(Arc::new(identity));
        assert_eq!(own.scope(named(None)).unwrap().overlay, overlay("pr/1"));
        assert_eq!(own.scope(named(overlay("pr/1"))).unwrap().overlay, overlay("pr/1"));
        assert_eq!(own.scope(named(overlay("pr/2"))), Err(Denied::Overlay));
        assert!(own.permits(Need::Write).is_ok() && own.permits(Need::Administer).is_err() && own.oversees().is_err());
        for role in [Role::Reader, Role::Writer] {
            assert_eq!(known("default", &[], role).scope(named(overlay("pr/1"))), Err(Denied::Overlay));
        }
        let admin = known("default", &[], Role::Admin).scope(named(overlay("pr/1"))).unwrap();
        assert_eq!(admin.overlay, overlay("pr/1"));
    }

    #[test]
    fn nobody_reaches_nothing_and_may_do_what_needs_nothing() {
        let nobody = Access::nobody(Unidentified::Missing);
        assert_eq!(at(&nobody, None, None), None);
        assert!(nobody.permits(Need::Nothing).is_ok() && nobody.permits(Need::Read).is_err());
        assert!(nobody.oversees().is_err());
        let anyone = Access::anyone();
        assert!(anyone.permits(Need::Administer).is_ok() && anyone.oversees().is_ok());
        assert_eq!(at(&anyone, Some("acme"), None).as_deref(), Some("acme/default"));
    }

    #[test]
    fn the_whole_server_is_told_of_to_the_default_tenant_only() {
        assert!(known("default", &[], Role::Reader).oversees().is_ok());
        assert_eq!(known("default", &["ios"], Role::Admin).oversees(), Err(Denied::Server));
        assert_eq!(known("acme", &[], Role::Admin).oversees(), Err(Denied::Server));
    }
}
