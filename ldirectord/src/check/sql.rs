//! `service=mysql`, `pgsql` and `oracle` (spec/ldirectord.md 8.2, B22): a query that has to return a row.

use std::time::Duration;

use super::pgsql::Keys;
use super::tls::Tls;
use super::{mysql, oracle, pgsql, random, stage};
use crate::config::model::{Sql, SqlEngine};

/// Logs in and asks, once.
pub async fn check(sql: &Sql, timeout: Duration, tls: &Tls, keys: &Keys) -> Result<String, String> {
    let at = sql.at;
    if sql.login.name.is_empty() || sql.query.is_empty() {
        let needs = "Must specify a login and request string for MySQL, Oracle and PostgreSQL checks";
        return Err(format!("Error: {needs}. Not adding {}", at.ip()));
    }
    if [sql.login.name.as_str(), sql.login.password.reveal(), &sql.database, &sql.query]
        .iter()
        .any(|text| text.contains('\0'))
    {
        return Err(format!("{at} cannot be asked: there is a zero byte in login, passwd, database or request"));
    }
    match sql.engine {
        SqlEngine::MySql => {
            stage::within(timeout, at, async |stage| mysql::check(sql, stage, tls, random()?).await).await
        }
        SqlEngine::Postgres => {
            stage::within(timeout, at, async |stage| pgsql::check(sql, stage, tls, keys, random()?).await).await
        }
        SqlEngine::Oracle => Box::pin(oracle::check(sql, timeout)).await,
    }
}

/// Why an attempt to be let in and answered failed.
pub enum End {
    /// The server is down.
    Down(String),
    /// It lets nobody in this way, and may the other way: over TLS, or without.
    OtherWay(String),
}

impl From<String> for End {
    fn from(why: String) -> Self {
        Self::Down(why)
    }
}

impl End {
    /// What is told of it in the end.
    pub fn why(self) -> String {
        match self {
            Self::Down(why) | Self::OtherWay(why) => why,
        }
    }
}
