//! The pages. `html!` escapes every inserted value.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};

use super::fields::{AGENT, MAXIMUM_NAME, MAXIMUM_TEXT, PREFIX};
use crate::csrf::CSRF_FIELD;
use crate::session::TokenState;
use tessera_contract::{Details, SessionSummary, Timestamp};

/// A whole page.
pub(super) struct Page(pub(super) Markup);

/// The page for a visitor who is signed in.
pub(super) struct Home {
    pub(super) messages: Vec<String>,
    /// In each form; see `CsrfLayer`.
    pub(super) csrf: String,
    pub(super) details: Details,
    /// Name, label and text of each field.
    pub(super) fields: Vec<(&'static str, &'static str, String)>,
    pub(super) devices: Vec<SessionSummary>,
    pub(super) now: Timestamp,
    pub(super) grace: Duration,
    /// Whether the page has a stream of messages.
    pub(super) has_streams: bool,
}

fn page(title: &str, content: &Markup) -> Page {
    Page(html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · Tessera" }
                link rel="icon" href="/icon.svg" type="image/svg+xml";
                link rel="stylesheet" href="/style.css";
                script src="/script.js" defer {}
            }
            body {
                header.top {
                    img src="/icon.svg" alt="" width="28" height="28";
                    span.brand { "Tessera" }
                    span.aside { "a demonstration: there is no password" }
                }
                main { (content) }
                footer {
                    "Server-rendered, without a build step; works without JavaScript. "
                    "Its source is " code { "http/src/demo" } "."
                }
            }
        }
    })
}

/// The form to sign in, with the reason why an earlier token was refused, and the fault of the name, if there are any.
pub(super) fn sign_in(token_state: TokenState, wrong: Option<&str>) -> Page {
    let content = html! {
        @if let TokenState::Refused(kind) = token_state {
            div.notice role="status" {
                p { strong { "You are not signed in any more." } " Your token was refused: " code.badge { (kind.code()) } }
                p { (explain(kind.code())) }
            }
        }
        section.card.welcome {
            h1 { "See a session live" }
            p.lead {
                "Sign in, change it from two tabs at once, renew its token, end it from another browser. "
                "The page shows the engine's own view of the session."
            }
            form method="post" action="/login" {
                label for="name" { "Sign in as" }
                div.row {
                    input #name name="name" type="text" required maxlength=(MAXIMUM_NAME) autocomplete="off"
                        autocapitalize="off" spellcheck="false" placeholder="alice" autofocus
                        aria-describedby="note" aria-invalid=[wrong.map(|_| "true")];
                    button.primary type="submit" { "Sign in" }
                }
                @if let Some(wrong) = wrong { p.wrong role="alert" { (wrong) } }
            }
            p #note .small {
                strong { "There is no password: anyone can sign in under any name." }
                " A session from this page is not valid anywhere else."
            }
        }
    };
    page("Sign in", &content)
}

impl IntoResponse for Home {
    fn into_response(self) -> Response {
        let content = html! {
            @if !self.messages.is_empty() {
                div.messages role="status" { @for message in &self.messages { p { (message) } } }
            }
            div.who {
                h1 { "Signed in as " span.name { (self.name()) } }
                (self.button("/logout", "Log out", "quiet"))
            }
            div.columns {
                (self.session())
                (self.texts())
            }
            (self.devices())
            @if self.has_streams { (self.stream()) }
        };
        page(self.name(), &content).into_response()
    }
}

impl Home {
    /// A form with one button.
    fn button(&self, action: &str, text: &str, class: &str) -> Markup {
        html! {
            form method="post" action=(action) {
                (self.csrf())
                button class=(class) type="submit" { (text) }
            }
        }
    }

    fn csrf(&self) -> Markup {
        html! { input type="hidden" name=(CSRF_FIELD) value=(self.csrf); }
    }

    fn session(&self) -> Markup {
        let details = &self.details;
        html! {
            section.card {
                h2 { "This session" }
                div.clocks {
                    div {
                        span.label { "Ends unless used" }
                        (self.left("idle", details.expires_at))
                    }
                    div {
                        span.label { "Ends in any case" }
                        (self.left("absolute", details.ends_at))
                    }
                }
                dl {
                    dt { "Created" } dd { (self.moment(details.created_at)) }
                    dt { "Subject" } dd { code { (details.subject.as_deref().unwrap_or_default()) } }
                    dt { "Public id" } dd { code { (details.public_id) } }
                    dt { "Token" } dd { "generation " strong #generation { (details.generation) } }
                }
                div.foot {
                    (self.button("/renew", "Renew the token", ""))
                    p.small {
                        "The old one is served until " (words(millis(self.grace)))
                        " after the new one is first used, so that no other tab is logged out."
                    }
                }
            }
        }
    }

    fn texts(&self) -> Markup {
        html! {
            section.card {
                h2 { "Its fields" }
                @for (name, label, text) in &self.fields {
                    form.field method="post" action="/fields" {
                        (self.csrf())
                        input type="hidden" name="field" value=(name);
                        label for=(name) { (label) }
                        div.row {
                            input id=(name) name="text" type="text" value=(text) maxlength=(MAXIMUM_TEXT)
                                autocomplete="off" placeholder="nothing yet";
                            button type="submit" { "Save" }
                            button.quiet type="submit" name="slowly" value="yes" title="Takes three seconds" {
                                "Slowly"
                            }
                        }
                    }
                }
                p.small.foot {
                    strong { "Two tabs at once: " }
                    "open this page twice. Save one field " em { "slowly" } " here (three seconds), and another field there in the meantime. "
                    "Both changes survive, because only changed fields are written."
                }
            }
        }
    }

    fn devices(&self) -> Markup {
        html! {
            section.card.devices {
                div.title {
                    h2 { "Your devices" }
                    @if self.devices.len() > 1 {
                        (self.button("/devices/end-others", "Log out everywhere else", "quiet"))
                    }
                }
                ul {
                    @for device in &self.devices {
                        @let agent = device.fields.get(AGENT).and_then(|agent| agent.as_str()).unwrap_or_default();
                        li {
                            div {
                                p.device title=(agent) {
                                    (browser(agent))
                                    @if device.current { " " span.badge { "this one" } }
                                }
                                p.small {
                                    "since " (self.moment(device.created_at))
                                    " · last seen " (self.moment(device.last_seen_at))
                                }
                            }
                            @if !device.current {
                                form method="post" action="/devices/end" {
                                    (self.csrf())
                                    input type="hidden" name="public_id" value=(device.public_id);
                                    button.danger type="submit" { "End" }
                                }
                            }
                        }
                    }
                }
                p.small.foot {
                    "Sign in as " strong { (self.name()) } " in another browser, or in a private window, and it is listed here."
                }
            }
        }
    }

    /// The messages that arrive while the page is open. The script fills the list.
    fn stream(&self) -> Markup {
        html! {
            section #stream.card.stream data-events="/events" {
                div.title {
                    h2 { "Messages" }
                    button #offline.quiet type="button" hidden { "Go offline" }
                }
                form method="post" action="/messages" {
                    (self.csrf())
                    label for="text" { "To all your open pages" }
                    div.row {
                        input #text name="text" type="text" maxlength=(MAXIMUM_TEXT) autocomplete="off" placeholder="hello";
                        button type="submit" { "Send" }
                    }
                }
                ul #log aria-live="polite" {}
                p.small.foot {
                    strong { "Two tabs again: " }
                    "a message from one tab appears in the other, without a click. "
                    "Go offline, send some from the other tab, and come back: the stream continues after the last message. "
                    "End a device: its page notices at once."
                }
            }
        }
    }

    fn name(&self) -> &str {
        let subject = self.details.subject.as_deref().unwrap_or_default();
        subject.strip_prefix(PREFIX).unwrap_or(subject)
    }

    /// The time until a moment. The script counts it down.
    fn left(&self, id: &str, at: Timestamp) -> Markup {
        let left = at.millis_since(self.now);
        html! { span.clock id=(id) data-left=(left) { (words(left)) } }
    }

    /// A past moment. The script shows it in the visitor's time zone.
    fn moment(&self, at: Timestamp) -> Markup {
        html! { span data-at=(at.as_millis()) { (words(self.now.millis_since(at))) " ago" } }
    }
}

/// The page with the token from before the logout, and the engine's present answer to it.
pub(super) fn old(token: &str, code: &str, said: &str) -> Page {
    let content = html! {
        section.card.over {
            h1 { "You are logged out" }
            p.lead { "The token was not only removed from your browser: any copy of it is refused as well." }
            p.label { "The old token, presented once more" }
            p.token #token { code { (token) } }
            p.label { "The engine's answer" }
            p.answer { code.badge #code { (code) } " " (said) }
            p.small { (explain(code)) }
            p.actions { a.button.primary href="/" { "Sign in again" } a.button href="/old" { "Show it again" } }
        }
    };
    page("Logged out", &content)
}

/// Explains an error code of the engine to a visitor.
fn explain(code: &str) -> &'static str {
    match code {
        "missing" => {
            "The token is genuine, but its session is gone: it was logged out, ended from another device, \
             or not used for too long."
        }
        "expired" => {
            "The session reached its end: it was not used for too long, or reached its maximum lifetime."
        }
        "replaced" => "A later login has replaced this token.",
        "reused" => "This token was used long after its renewal: somebody may have copied it.",
        _ => "The token was not issued by this server; it may be from before a restart.",
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Formats a duration in its two largest units, as the script does.
fn words(millis: u64) -> String {
    let seconds = millis / 1000;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    let seconds = seconds % 60;
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {seconds:02} s"),
        (0, ..) => format!("{hours} h {minutes:02} min"),
        _ => format!("{days} d {hours} h"),
    }
}

/// The browser's name for a list, derived from its `User-Agent`.
fn browser(agent: &str) -> String {
    const BROWSERS: [(&str, &str); 5] = [
        ("Edg/", "Edge"),
        ("Firefox/", "Firefox"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
        ("curl/", "curl"),
    ];
    const SYSTEMS: [(&str, &str); 6] = [
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Windows", "Windows"),
        ("Mac OS", "macOS"),
        ("Linux", "Linux"),
    ];
    let find = |names: &[(&str, &'static str)]| {
        let found = names.iter().find(|(mark, _)| agent.contains(mark));
        found.map(|(_, name)| *name)
    };
    match (find(&BROWSERS), find(&SYSTEMS)) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(name), None) | (None, Some(name)) => name.to_owned(),
        (None, None) => "An unknown browser".to_owned(),
    }
}
