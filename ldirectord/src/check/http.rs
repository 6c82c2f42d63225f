//! `service=http`, `https` and `http_proxy` (spec/ldirectord.md 8.4).
//!
//! The connection goes to the real server and nowhere else, whatever name is in the Host
//! header and in SNI; only a redirect to another host leads elsewhere. Each check has its
//! own connection: one that was opened a minute ago says nothing about now.
//!
//! Through a proxy, everything goes to the proxy, redirects included, and Host is that of the URL.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use reqwest::header::{CONNECTION, HOST, HeaderValue, LOCATION};
use reqwest::{Client, ClientBuilder, Proxy, Response, Url};
use rustls::ClientConfig;

use super::reason;
use super::tls::Tls;
use crate::config::Pattern;
use crate::config::model::{Http, HttpProxy, Method};

/// Most of a body that is looked at, bytes.
const MAX_BODY: usize = 1024 * 1024;

/// Most redirects that are followed (T9).
const MAX_REDIRECTS: usize = 7;

/// How much of an unexpected body is told, characters.
const QUOTED: usize = 80;

/// What is asked of a server or a proxy, whatever the way to it.
struct Question<'a> {
    at: SocketAddr,
    method: Method,
    receive: Option<&'a Pattern>,
    /// Whoever is asked, the connection is to `at`.
    proxied: bool,
}

/// One client for all servers that are asked by their addresses: to make one costs more than to ask with it. Connections
/// are never kept.
#[derive(Debug, Clone, Default)]
pub struct Web(Arc<OnceLock<Result<Client, String>>>);

impl Web {
    fn client(&self, tls: &Tls) -> Result<Client, String> {
        self.0.get_or_init(|| builder(tls, false)?.build().map_err(|error| no_client(&error))).clone()
    }
}

/// Asks, follows redirects, and looks at what came. `words` are for the monitor file: the status
/// line, or the whole body where that is not what it should be.
pub async fn check(request: &Http, web: &Web, tls: &Tls, words: &mut Option<String>) -> Result<String, String> {
    let converse = async |unexpected: &mut _| {
        let url = request.url.get(|| url(request)).clone()?;
        let own = || client(request, tls).map(Some);
        let client = match url.domain() {
            None if !request.verify => web.client(tls)?,
            _ => client(request, tls)?,
        };
        let Http { at, method, ref receive, .. } = *request;
        let question = Question { at, method, receive: receive.as_ref(), proxied: false };
        follow(client, &own, &question, url, Some(&request.host), unexpected).await
    };
    told(converse, words).await
}

/// The same through a proxy.
pub async fn check_through(request: &HttpProxy, tls: &Tls, words: &mut Option<String>) -> Result<String, String> {
    let converse = async |unexpected: &mut _| {
        let HttpProxy { at, method, ref url, ref receive } = *request;
        let url =
            Url::parse(url).map_err(|error| format!("\"{url}\" is not a URL ({error}); write all of it in request"))?;
        let proxy = Proxy::all(format!("http://{at}")).map_err(|error| no_client(&error))?;
        let client = builder(tls, false)?.proxy(proxy).build().map_err(|error| no_client(&error))?;
        let question = Question { at, method, receive: receive.as_ref(), proxied: true };
        follow(client, &|| Ok(None), &question, url, None, unexpected).await
    };
    told(converse, words).await
}

/// The status line for monitor files, unless there is something unexpected to tell.
async fn told(
    converse: impl AsyncFnOnce(&mut Option<String>) -> Result<String, String>,
    words: &mut Option<String>,
) -> Result<String, String> {
    let mut unexpected = None;
    let result = converse(&mut unexpected).await;
    *words = unexpected.or_else(|| Some(result.clone().unwrap_or_else(|why| why)));
    result
}

/// `own` makes the client that knows the names of this server, if it needs one.
async fn follow(
    mut client: Client,
    own: &(dyn Fn() -> Result<Option<Client>, String> + Sync),
    question: &Question<'_>,
    mut url: Url,
    host: Option<&str>,
    unexpected: &mut Option<String>,
) -> Result<String, String> {
    let header = |host: &str| HeaderValue::from_str(host).map_err(|_| format!("\"{host}\" cannot be a Host header"));
    let mut host = host.map(header).transpose()?;
    // Who is asked, for messages, if it is not whom the question is about.
    let mut another = None;
    for _ in 0..=MAX_REDIRECTS {
        let response = ask(&client, question.method, &url, host.as_ref()).await.map_err(|error| {
            let at = another.take().unwrap_or_else(|| question.at.to_string());
            let why = root(&error);
            let what = if error.is_connect() { "500 Can't connect to" } else { "500 no answer from" };
            format!("{what} {at} ({why})")
        })?;
        let Some(next) = redirect(&url, &response) else { return judge(question, response, unexpected).await };
        if next.origin() != url.origin() && !question.proxied {
            // Another server is asked by its own name.
            (host, another) = (None, Some(authority(&next)));
        }
        if next.domain().is_some()
            && let Some(own) = own()?
        {
            client = own;
        }
        url = next;
    }
    Err(format!("302 Found: more than {MAX_REDIRECTS} redirects from {}, the last one to {url}", question.at))
}

/// What all requests have in common.
fn builder(tls: &Tls, verify: bool) -> Result<ClientBuilder, String> {
    let mut tls = ClientConfig::clone(&*tls.config(verify)?);
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    let builder = Client::builder()
        .tls_backend_preconfigured(tls)
        .no_proxy()
        .pool_max_idle_per_host(0)
        // A connection lives for one question, and the whole check has a deadline: nothing has to be kept alive.
        .tcp_keepalive(None)
        .tcp_keepalive_interval(None)
        .tcp_keepalive_retries(None)
        .tcp_user_timeout(None)
        .tcp_nodelay(false)
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .retry(reqwest::retry::never())
        .http1_only()
        .http1_title_case_headers()
        .http09_responses()
        .user_agent(concat!("ldirectord/", env!("CARGO_PKG_VERSION")));
    Ok(builder)
}

/// One that takes the names of this real server for its address.
fn client(request: &Http, tls: &Tls) -> Result<Client, String> {
    let mut builder = builder(tls, request.verify)?;
    let host = request.host.rsplit_once(':').map_or(request.host.as_str(), |(name, _)| name).to_ascii_lowercase();
    let server_name = request.server_name.as_ref().filter(|_| request.tls).map(|name| name.to_ascii_lowercase());
    for name in [Some(host), server_name].into_iter().flatten() {
        // Also a redirect to the virtual host's own name is about this real server; its public
        // address is ours.
        builder = builder.resolve(&name, SocketAddr::new(request.at.ip(), 0));
    }
    builder.build().map_err(|error| no_client(&error))
}

fn no_client(error: &reqwest::Error) -> String {
    format!("cannot make an HTTP client ({})", root(error))
}

/// With a name for SNI in it where there is one; the client resolves it to the real server.
fn url(request: &Http) -> Result<Url, String> {
    let Http { tls, at, path, server_name, .. } = request;
    // The parser takes a backslash for a slash, as browsers do.
    let path = path.replace('\\', "%5C");
    if let Some(name) = server_name.as_ref().filter(|_| *tls)
        && let Ok(url) = Url::parse(&format!("https://{name}:{}{path}", at.port()))
        // A name that reads as an address would be connected to.
        && url.domain().is_some()
    {
        return Ok(url);
    }
    let scheme = if *tls { "https" } else { "http" };
    let text = format!("{scheme}://{at}{path}");
    Url::parse(&text).map_err(|error| format!("\"{text}\" is not a URL ({error})"))
}

/// One request.
async fn ask(client: &Client, method: Method, url: &Url, host: Option<&HeaderValue>) -> reqwest::Result<Response> {
    let verb = match method {
        Method::Get => reqwest::Method::GET,
        Method::Head => reqwest::Method::HEAD,
    };
    let mut request = client.request(verb, url.clone()).header(CONNECTION, HeaderValue::from_static("close"));
    if let Some(host) = host {
        request = request.header(HOST, host);
    }
    request.send().await
}

fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port_or_known_default().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Where the answer sends us, if it does.
fn redirect(url: &Url, response: &Response) -> Option<Url> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let location = response.headers().get(LOCATION)?.to_str().ok()?;
    url.join(location).ok().filter(|next| matches!(next.scheme(), "http" | "https"))
}

async fn judge(question: &Question<'_>, response: Response, unexpected: &mut Option<String>) -> Result<String, String> {
    let status = response.status().to_string();
    if !response.status().is_success() {
        let url = response.url().clone();
        *unexpected = Some(status.clone());
        return Err(format!("{status} ({} {url} at {})", question.method.as_str(), question.at));
    }
    let Some(pattern) = question.receive else { return Ok(status) };
    let body = body(response).await;
    match pattern.matches(&body) {
        Ok(true) => Ok(status),
        Ok(false) => {
            let begin: String = body.chars().take(QUOTED).collect();
            let dots = if begin.len() < body.len() { "..." } else { "" };
            let why = format!(
                "{status}, but \"{}\" is not in the body {begin:?}{dots} from {}",
                pattern.as_str(),
                question.at
            );
            *unexpected = Some(body);
            Err(why)
        }
        Err(error) => Err(format!("{status}, but {error}")),
    }
}

/// What came of the body, however it ended: one shorter than announced is still looked at.
async fn body(mut response: Response) -> String {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        let room = MAX_BODY - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if body.len() == MAX_BODY {
            break;
        }
    }
    String::from_utf8(body).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// The first cause: "error sending request for url" helps nobody.
fn root(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.downcast_ref::<std::io::Error>().map_or_else(|| cause.to_string(), reason)
}

#[cfg(test)]
mod tests;
