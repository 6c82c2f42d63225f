//! What the grammar knows and this version does not do yet.
//!
//! A file that asks for one of these is refused, with the directive's name: a check that is
//! silently not made keeps dead servers in service. Whoever builds one removes its line here.

/// `DIRECTIVE` or `DIRECTIVE=VALUE`.
const NOT_BUILT: &[&str] = &[
    "service=ftp",
    "service=http_proxy",
    "service=imap",
    "service=imaps",
    "service=nntp",
    "service=pop",
    "service=pops",
    "service=simpletcp",
    "service=smtp",
    "service=submission",
];

/// Whether this version does what `feature` (`callback`, `service=smtp`) asks for.
#[must_use]
pub fn is_built(feature: &str) -> bool {
    !NOT_BUILT.contains(&feature)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::written::{CheckType, ServiceName};

    #[test]
    fn what_is_refused_is_what_files_can_say() {
        let known: Vec<String> = CheckType::names()
            .map(|name| format!("checktype={name}"))
            .chain(ServiceName::names().map(|name| format!("service={name}")))
            .collect();
        for feature in NOT_BUILT.iter().filter(|f| f.starts_with("checktype=") || f.starts_with("service=")) {
            assert!(known.iter().any(|k| k == feature), "{feature}");
        }
        assert!(is_built("checktype=negotiate") && is_built("service=https") && !is_built("service=smtp"));
    }
}
