//! Who is on the other end, and what they may do.
//!
//! The kernel tells uid and primary gid of a Unix peer (SO_PEERCRED); supplementary groups
//! it does not tell, so the mode and group of the socket file decide who may connect at
//! all, and the uid what they may do.

use std::marker::PhantomData;

/// A connected process, as the kernel vouches for it at connect time.
///
/// ```
/// use lvs::ipc::{Caller, Policy, Rank};
///
/// let root = Caller { uid: 0, gid: 0, pid: None };
/// assert_eq!(Policy::default().rank(&root), Rank::Program);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
    /// Process id, where the kernel tells it.
    pub pid: Option<i32>,
}

/// What a caller may do; each rank includes those before it.
///
/// ```
/// use lvs::ipc::Rank;
///
/// assert!(Rank::Program > Rank::Operate && Rank::Operate > Rank::Read);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// Look: status, watch.
    Read,
    /// Steer: standby, takeover, reload, drain.
    Operate,
    /// Change the IPVS table.
    Program,
}

/// Who has which rank. Whoever may connect may read.
///
/// ```
/// use lvs::ipc::{Caller, Policy, Rank};
///
/// let policy = Policy { operators: Some(90), programmers: vec![107] };
/// assert_eq!(policy.rank(&Caller { uid: 1000, gid: 90, pid: None }), Rank::Operate);
/// assert_eq!(policy.rank(&Caller { uid: 107, gid: 107, pid: None }), Rank::Program);
/// ```
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// Group whose members may operate, normally `haclient`.
    pub operators: Option<u32>,
    /// Users besides root that may program, normally ldirectord's.
    pub programmers: Vec<u32>,
}

impl Policy {
    /// The rank of a caller. Uid 0 may do everything.
    #[must_use]
    pub fn rank(&self, caller: &Caller) -> Rank {
        if caller.uid == 0 || self.programmers.contains(&caller.uid) {
            Rank::Program
        } else if self.operators == Some(caller.gid) {
            Rank::Operate
        } else {
            Rank::Read
        }
    }
}

/// The caller's rank does not suffice.
///
/// ```
/// use lvs::ipc::{Caller, Permit, Policy, Program};
///
/// let anybody = Caller { uid: 1000, gid: 1000, pid: None };
/// let error = Permit::<Program>::check(anybody, &Policy::default()).expect_err("not root");
/// assert!(error.to_string().starts_with("not permitted to uid 1000"));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not permitted to uid {uid}: it needs {needs}")]
pub struct NotPermitted {
    uid: u32,
    needs: &'static str,
}

/// A rank as a type, for [`Permit`].
///
/// ```
/// use lvs::ipc::{Caller, Operate, Permit, Policy};
///
/// let operator = Caller { uid: 1000, gid: 90, pid: None };
/// assert!(Permit::<Operate>::check(operator, &Policy { operators: Some(90), programmers: Vec::new() }).is_ok());
/// ```
pub trait Needs {
    /// The rank.
    const RANK: Rank;
    /// Who has it, in words.
    const WHO: &'static str;
}

/// [`Rank::Read`].
///
/// ```
/// use lvs::ipc::{Caller, Permit, Policy, Read};
///
/// let caller = Caller { uid: 1000, gid: 1000, pid: None };
/// assert!(Permit::<Read>::check(caller, &Policy::default()).is_ok());
/// ```
#[derive(Debug)]
pub struct Read;
/// [`Rank::Operate`].
///
/// ```
/// use lvs::ipc::{Caller, Permit, Policy, Operate};
///
/// let caller = Caller { uid: 0, gid: 0, pid: None };
/// assert!(Permit::<Operate>::check(caller, &Policy::default()).is_ok());
/// ```
#[derive(Debug)]
pub struct Operate;
/// [`Rank::Program`].
///
/// ```
/// use lvs::ipc::{Caller, Permit, Policy, Program};
///
/// let caller = Caller { uid: 0, gid: 0, pid: None };
/// assert!(Permit::<Program>::check(caller, &Policy::default()).is_ok());
/// ```
#[derive(Debug)]
pub struct Program;

impl Needs for Read {
    const RANK: Rank = Rank::Read;
    const WHO: &'static str = "a connection";
}
impl Needs for Operate {
    const RANK: Rank = Rank::Operate;
    const WHO: &'static str = "uid 0 or primary group haclient";
}
impl Needs for Program {
    const RANK: Rank = Rank::Program;
    const WHO: &'static str = "uid 0 or the user that ldirectord runs as";
}

/// Proof that the caller was looked at: a function that takes one cannot be reached by
/// somebody who may not.
///
/// ```
/// use lvs::ipc::{Caller, Operate, Permit, Policy};
///
/// /// Cannot be called for somebody who may not.
/// fn give_up_the_addresses(permit: &Permit<Operate>) -> String {
///     format!("asked for by uid {}", permit.caller().uid)
/// }
///
/// let permit = Permit::check(Caller { uid: 0, gid: 0, pid: None }, &Policy::default())?;
/// assert_eq!(give_up_the_addresses(&permit), "asked for by uid 0");
/// # Ok::<(), lvs::ipc::NotPermitted>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Permit<N> {
    caller: Caller,
    rank: PhantomData<N>,
}

impl<N: Needs> Permit<N> {
    /// Looks at the caller.
    ///
    /// # Errors
    /// If the rank does not suffice.
    pub fn check(caller: Caller, policy: &Policy) -> Result<Self, NotPermitted> {
        if policy.rank(&caller) >= N::RANK {
            Ok(Self { caller, rank: PhantomData })
        } else {
            Err(NotPermitted { uid: caller.uid, needs: N::WHO })
        }
    }

    /// Who was permitted.
    #[must_use]
    pub fn caller(&self) -> Caller {
        self.caller
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_root_and_the_named_user_may_program() {
        let policy = Policy { operators: Some(90), programmers: vec![107] };
        let caller = |uid, gid| Caller { uid, gid, pid: None };
        assert_eq!(policy.rank(&caller(0, 0)), Rank::Program);
        assert_eq!(policy.rank(&caller(107, 107)), Rank::Program);
        assert_eq!(policy.rank(&caller(1000, 90)), Rank::Operate);
        assert_eq!(policy.rank(&caller(1000, 1000)), Rank::Read);
        assert!(Permit::<Operate>::check(caller(1000, 1000), &policy).is_err());
        assert!(Permit::<Operate>::check(caller(1000, 90), &policy).is_ok());
        assert!(Permit::<Program>::check(caller(1000, 90), &policy).is_err());
    }
}
