//! What the grammar knows and this version does not do yet.
//!
//! A file that asks for one of these is refused, with the directive's name: a check that is
//! silently not made keeps dead servers in service. Whoever builds one removes its line here.

/// `DIRECTIVE` or `DIRECTIVE=VALUE`.
const NOT_BUILT: &[&str] = &[
    "autoreload=yes",
    "callback",
    "checktype=external",
    "checktype=external-perl",
    "emailalert",
    "execute",
    "fallbackcommand",
    "maintenancedir",
    "monitorfile",
    "service=dns",
    "service=ftp",
    "service=http_proxy",
    "service=imap",
    "service=imaps",
    "service=ldap",
    "service=ldaps",
    "service=mysql",
    "service=nntp",
    "service=oracle",
    "service=pgsql",
    "service=pop",
    "service=pops",
    "service=radius",
    "service=simpletcp",
    "service=sip",
    "service=smtp",
    "service=submission",
];

/// Whether this version does what `feature` (`callback`, `service=smtp`) asks for.
#[must_use]
pub fn is_built(feature: &str) -> bool {
    !NOT_BUILT.contains(&feature)
}
