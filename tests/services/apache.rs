//! Apache: http and https, hosts told apart by name, a page in chunks, certificates that are verified.

use lab::Result;

use crate::certificate::Authority;
use crate::place::Place;

const MODULES: [&str; 10] =
    ["mpm_event", "authz_core", "authn_core", "authz_host", "mime", "alias", "dir", "filter", "include", "ssl"];

/// One host in clear, two with TLS; whoever says no name, or another one, is forbidden.
fn configuration(place: &Place) -> String {
    let (address, directory) = (place.address(), place.directory().display());
    let modules =
        MODULES.map(|name| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n")).concat();
    let host = |name: &str| {
        format!(
            "<VirtualHost {address}:443>\nServerName {name}\nDocumentRoot {directory}/{name}\nSSLEngine on\n\
             SSLCertificateFile {directory}/{name}.crt\nSSLCertificateKeyFile {directory}/{name}.key\n</VirtualHost>\n"
        )
    };
    format!(
        "{modules}ServerRoot {directory}\nServerName nobody.example.com\nPidFile {directory}/pid\n\
         DefaultRuntimeDir {directory}\nMutex pthread\nErrorLog /dev/stderr\nTypesConfig /dev/null\n\
         User www-data\nGroup www-data\nStartServers 1\nThreadsPerChild 4\nServerLimit 1\nMaxRequestWorkers 4\n\
         Listen {address}:80\nListen {address}:443\nSSLStrictSNIVHostCheck on\n\
         DocumentRoot {directory}/www\nAddType text/html .shtml\nAddOutputFilter INCLUDES .shtml\n\
         <Directory {directory}>\nRequire all granted\nOptions +Includes\n</Directory>\n\
         <Directory {directory}/www/closed>\nRequire all denied\n</Directory>\n\
         Redirect 301 /old /page.html\n{}{}",
        host("www.example.com"),
        host("shop.example.com"),
    )
}

#[test]
fn http_and_https_by_apache() -> Result<()> {
    let Some(place) = Place::new("apache", &["apache2", "openssl"]) else { return Ok(()) };
    let authority = Authority::new(place.directory())?;
    for name in ["www.example.com", "shop.example.com"] {
        authority.certify(name)?;
        place.write(&format!("{name}/index.html"), &format!("this is {name}\n"))?;
    }
    place.write("www/page.html", "Test Page\n")?;
    // Its length is not known before, so it comes in chunks.
    place.write("www/chunks.shtml", "begin\n<!--#include virtual=\"/page.html\" -->\nend\n")?;
    place.write("www/closed/page.html", "nobody sees this\n")?;
    let file = place.write("apache.conf", &configuration(&place))?;
    let apache = place.start(&["apache2", "-D", "FOREGROUND", "-f", &file.to_string_lossy()])?;
    place.await_tcp(&apache, 443)?;

    let mut checks = place.checks();
    checks.trust(&place.directory().join("ca.crt"));
    let page = checks.add(80, "service=http\nrequest=\"page.html\"\nreceive=\"^Test Page$\"");
    let chunks = checks.add(80, "service=http\nrequest=\"chunks.shtml\"\nreceive=\"begin\\nTest Page\\n\\nend\"");
    let old = checks.add(80, "service=http\nrequest=\"old\"\nreceive=\"Test Page\"");
    let closed = checks.add(80, "service=http\nrequest=\"closed/page.html\"");
    let shop = checks.add(443, "service=https\nvirtualhost=shop.example.com\nreceive=\"this is shop\"");
    let verified = checks.add(443, "service=https\nvirtualhost=shop.example.com\nverify=yes");
    let nameless = checks.add(443, "service=https");
    let unverified = checks.add(443, "service=https\nverify=yes");
    let watch = checks.start()?;

    for up in [page, chunks, old, shop, verified] {
        watch.up(up)?;
    }
    watch.down(closed, "403 Forbidden")?;
    watch.down(nameless, "403 Forbidden")?;
    // It is for names, and was asked for by an address.
    watch.down(unverified, "certificate not valid for name")?;
    apache.hang()?;
    for hung in [page, shop, verified] {
        watch.down(hung, "500 Timeout Alarm")?;
    }
    apache.go_on();
    watch.up(page)?;
    watch.up(verified)?;
    watch.end(&[])
}

#[test]
fn https_by_an_authority_that_nobody_trusts() -> Result<()> {
    let Some(place) = Place::new("untrusted", &["apache2", "openssl"]) else { return Ok(()) };
    let authority = Authority::new(place.directory())?;
    for name in ["www.example.com", "shop.example.com"] {
        authority.certify(name)?;
        place.write(&format!("{name}/index.html"), "here\n")?;
    }
    place.write("www/page.html", "here\n")?;
    // Somebody else's authority is what this machine trusts.
    let other = place.directory().join("other");
    std::fs::create_dir(&other).expect("a directory of the place's own");
    Authority::new(&other)?;
    let file = place.write("apache.conf", &configuration(&place))?;
    let apache = place.start(&["apache2", "-D", "FOREGROUND", "-f", &file.to_string_lossy()])?;
    place.await_tcp(&apache, 443)?;
    let mut checks = place.checks();
    checks.trust(&other.join("ca.crt"));
    let anybody = checks.add(443, "service=https\nvirtualhost=www.example.com");
    let verified = checks.add(443, "service=https\nvirtualhost=www.example.com\nverify=yes");
    let watch = checks.start()?;
    watch.up(anybody)?;
    watch.down(verified, "invalid peer certificate")?;
    watch.end(&[])
}
