//! Who is on the other end, and what they may do.
//!
//! The kernel tells uid and primary gid of a Unix peer (SO_PEERCRED); supplementary groups
//! it does not tell, so the mode and group of the socket file decide who may connect at
//! all, and the uid what they may do.

use std::marker::PhantomData;

/// A connected process, as the kernel vouches for it at connect time.
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not permitted to uid {uid}: it needs {needs}")]
pub struct NotPermitted {
    uid: u32,
    needs: &'static str,
}

/// A rank as a type, for [`Permit`].
pub trait Needs {
    /// The rank.
    const RANK: Rank;
    /// Who has it, in words.
    const WHO: &'static str;
}

/// [`Rank::Read`].
#[derive(Debug)]
pub struct Read;
/// [`Rank::Operate`].
#[derive(Debug)]
pub struct Operate;
/// [`Rank::Program`].
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
