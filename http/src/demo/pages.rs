//! The pages. `html!` escapes every value that is put into them.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};

use super::fields::{AGENT, MAXIMUM_NAME, MAXIMUM_TEXT, PREFIX};
use crate::csrf::CSRF_FIELD;
use crate::session::TokenState;
use tessera_contract::{Details, SessionSummary, Timestamp};

/// A whole page.
pub(super) struct Page(pub(super) Markup);

/// What is shown to who is signed in.
pub(super) struct Home {
    pub(super) messages: Vec<String>,
    /// Stands in each form: see `CsrfLayer`.
    pub(super) csrf: String,
    pub(super) details: Details,
    /// Name, label and text of each.
    pub(super) fields: Vec<(&'static str, &'static str, String)>,
    pub(super) devices: Vec<SessionSummary>,
    pub(super) now: Timestamp,
    pub(super) grace: Duration,
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

/// The form to sign in; above it why the visitor is not, if they have been, or what is wrong with the name.
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
                "What you see is what the engine knows."
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
                strong { "No password is asked: anybody is anybody here." }
                " What is signed in here opens nothing else."
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
        };
        page(self.name(), &content).into_response()
    }
}

impl Home {
    /// A form that is one button.
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
                    dt { "Reference" } dd { code { (details.public_id) } }
                    dt { "Token" } dd { "generation " strong #generation { (details.generation) } }
                }
                div.foot {
                    (self.button("/renew", "Renew the token", ""))
                    p.small {
                        "The old one is served until " (words(millis(self.grace)))
                        " after the new one is first used, so that no other tab is lost."
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
                    "open this page twice. Save one field " em { "slowly" } " here (three seconds), and meanwhile another there. "
                    "Both survive: only what changed is written."
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

    fn name(&self) -> &str {
        let subject = self.details.subject.as_deref().unwrap_or_default();
        subject.strip_prefix(PREFIX).unwrap_or(subject)
    }

    /// The time until a moment; the script lets it run.
    fn left(&self, id: &str, at: Timestamp) -> Markup {
        let left = at.millis_since(self.now);
        html! { span.clock id=(id) data-left=(left) { (words(left)) } }
    }

    /// A moment that is past; the script shows it in the visitor's own time.
    fn moment(&self, at: Timestamp) -> Markup {
        html! { span data-at=(at.as_millis()) { (words(self.now.millis_since(at))) " ago" } }
    }
}

/// The token that was good before the logout, and how it is answered now.
pub(super) fn old(token: &str, code: &str, said: &str) -> Page {
    let content = html! {
        section.card.over {
            h1 { "You are logged out" }
            p.lead { "The token that your browser had is not only forgotten: whoever kept a copy is refused." }
            p.label { "The old token, shown once more" }
            p.token #token { code { (token) } }
            p.label { "What the engine answers" }
            p.answer { code.badge #code { (code) } " " (said) }
            p.small { (explain(code)) }
            p.actions { a.button.primary href="/" { "Sign in again" } a.button href="/old" { "Show it again" } }
        }
    };
    page("Logged out", &content)
}

/// What a code of the engine's means to who is not signed in for it.
fn explain(code: &str) -> &'static str {
    match code {
        "missing" => {
            "The token is genuine, but its session is gone: it was logged out, ended from another device, \
             or not used for too long."
        }
        "expired" => "The session reached its end: it was not used for too long, or had its longest life.",
        "replaced" => "A later login has taken this token's place.",
        "reused" => "This token was renewed long before it was shown again: somebody may have copied it.",
        _ => "The token was not made by this server: it may be from before a restart.",
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// A length of time in its two largest units; the script writes them the same.
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

/// A browser's name for a list, out of what it says of itself.
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
