//! `tessera connections`: an operator's commands for the open connections of a service.

use std::io::Read as _;

use clap::Subcommand;
use tessera::connections::{Connection, Connections, EndReason, Message, Name, SendKey};
use tessera::store::AnyMailbox;

use crate::failure::Failure;
use crate::moment;
use crate::output::{say, table};
use crate::sessions::{Place, complete, engine};

/// The connections of a page.
const PAGE: u32 = 100;
/// The most that is read of a message on standard input, in bytes. No mailbox accepts as much.
const MAXIMUM_INPUT_BYTES: u64 = 1024 * 1024;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// List connections: those of one session, of one subject, or all.
    List {
        /// List only the connections of the session with this public id
        #[arg(long, allow_hyphen_values = true, conflicts_with_all = ["subject", "prefix", "kind"])]
        session: Option<String>,
        /// List only the connections of this subject's sessions
        #[arg(long, conflicts_with_all = ["prefix", "kind"])]
        subject: Option<String>,
        /// List only the connections whose prefix begins with this text
        #[arg(long)]
        prefix: Option<String>,
        /// List only the connections of this kind
        #[arg(long = "type", value_name = "TYPE")]
        kind: Option<String>,
        #[command(flatten)]
        place: Place,
    },
    /// Send a message to a connection, and print its id.
    Send {
        /// The name of the connection, as shown by `list`
        #[arg(long, allow_hyphen_values = true)]
        connection: Name,
        /// The text of the message; `-` reads it from standard input, without its last line break
        #[arg(long, allow_hyphen_values = true)]
        text: String,
        /// The name of the event
        #[arg(long)]
        event: Option<String>,
        /// A key by which a repeated call is recognised, so that the message is sent once
        #[arg(long)]
        key: Option<SendKey>,
        #[command(flatten)]
        place: Place,
    },
    /// End a connection, after all messages that were sent before.
    Close {
        /// The name of the connection, as shown by `list`
        #[arg(long, allow_hyphen_values = true)]
        connection: Name,
        #[command(flatten)]
        place: Place,
    },
}

/// The connections to list.
enum Selection {
    Session(String),
    Subject(String),
    All { prefix: String, kind: String },
}

impl Command {
    pub(crate) fn run(self) -> Result<(), Failure> {
        complete(self.answer())
    }

    async fn answer(self) -> Result<(), Failure> {
        match self {
            Self::List {
                session,
                subject,
                prefix,
                kind,
                place,
            } => {
                let selection = match (session, subject) {
                    (Some(session), _) => Selection::Session(session),
                    (None, Some(subject)) => Selection::Subject(subject),
                    (None, None) => Selection::All {
                        prefix: prefix.unwrap_or_default(),
                        kind: kind.unwrap_or_default(),
                    },
                };
                list(&open(place).await?, &selection).await
            }
            Self::Send {
                connection,
                text,
                event,
                key,
                place,
            } => {
                let message = Message::new(event.as_deref(), &read(text)?);
                let message = message.map_err(Failure::during("cannot send this message"))?;
                let sent = open(place).await?.send(&connection, &message, key.as_ref()).await;
                let id = sent.map_err(Failure::during("cannot send the message"))?;
                say(&format!("{id}\n"))
            }
            Self::Close { connection, place } => {
                let closed = open(place).await?.close(&connection).await;
                closed.map_err(Failure::during("cannot end the connection"))
            }
        }
    }
}

/// The connections over a store, as a further process of the service.
async fn open(place: Place) -> Result<Connections<AnyMailbox>, Failure> {
    let (store, url) = (place.data.open_shared().await?, place.data.url());
    let mailboxes = AnyMailbox::beside(&store, url.plain()).await;
    let mailboxes = mailboxes.map_err(Failure::during("cannot open the mailboxes of connections"))?;
    let sessions = engine(place, store)?;
    let connections = Connections::builder(&sessions).build(mailboxes);
    connections.map_err(Failure::during("cannot configure the connections"))
}

/// The text of a message.
fn read(text: String) -> Result<String, Failure> {
    if text != "-" {
        return Ok(text);
    }
    let mut text = String::new();
    let input = std::io::stdin().lock().take(MAXIMUM_INPUT_BYTES);
    std::io::BufReader::new(input)
        .read_to_string(&mut text)
        .map_err(Failure::during("cannot read the message from standard input"))?;
    Ok(without_last_break(text))
}

fn without_last_break(mut text: String) -> String {
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    text
}

async fn list(connections: &Connections<AnyMailbox>, selection: &Selection) -> Result<(), Failure> {
    let heading = [
        "CONNECTION",
        "SESSION",
        "SUBJECT",
        "PREFIX",
        "TYPE",
        "STATE",
        "ENDS",
    ];
    let (mut rows, mut cursor) = (vec![heading.map(str::to_owned).to_vec()], None);
    loop {
        let page = match selection {
            Selection::Session(session) => {
                let found = connections.of_session(session).await;
                found.map(|found| (found, None))
            }
            Selection::Subject(subject) => connections.of_subject(subject, cursor.as_deref()).await,
            Selection::All { prefix, kind } => {
                let cursor = cursor.as_deref().unwrap_or_default();
                connections.walk(prefix, kind, cursor, PAGE).await
            }
        };
        let (found, next) = page.map_err(Failure::during("cannot list the connections"))?;
        rows.extend(found.iter().map(row));
        cursor = next;
        if cursor.is_none() {
            return say(&table(&rows));
        }
    }
}

fn row(connection: &Connection) -> Vec<String> {
    let head = &connection.head;
    let or_dash = |text: &str| if text.is_empty() { "-" } else { text }.to_owned();
    let state = match connection.ended {
        Some(reason) => EndReason::as_str(reason),
        None if connection.is_attached => "attached",
        None => "away",
    };
    vec![
        connection.name.to_string(),
        head.session.clone(),
        or_dash(head.subject.as_deref().unwrap_or_default()),
        or_dash(&head.prefix),
        or_dash(&head.kind),
        state.to_owned(),
        moment::show(head.ends_at),
    ]
}

#[cfg(test)]
mod tests {
    use super::without_last_break;

    #[test]
    fn one_line_break_at_the_end_is_that_of_the_shell() {
        for (input, text) in [
            ("a", "a"),
            ("a\n", "a"),
            ("a\r\n", "a"),
            ("a\n\n", "a\n"),
            ("\n", ""),
        ] {
            assert_eq!(without_last_break(input.into()), text);
        }
    }
}
