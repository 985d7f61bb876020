//! The endpoint `/mcp`: streamable HTTP with sessions and resumption (MCP of 2025), and requests without either (2026).

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use tessera::connections::{ConnectionError, Connections, Cursor, MessageId, Name, Registration};
use tessera::store::{RedisMailbox, RedisStore};
use tessera::{Session, SessionError, Sessions};

use crate::message::{Incoming, error, result};
use crate::stream::{Lone, Until, stream};
use crate::tools::{self, Output};

/// The header with the session's token. Any node opens it.
const SESSION: &str = "mcp-session-id";
/// The newest revision with sessions.
const WITH_SESSIONS: &str = "2025-06-18";
/// The field of a session with the name of its connection.
const CONNECTION: &str = "connection";
/// The maximum size of a request, in bytes.
const MAXIMUM_BODY: usize = 64 * 1024;

/// One node of the gateway.
#[derive(Clone)]
pub(crate) struct Gateway {
    sessions: Sessions,
    connections: Connections<RedisMailbox>,
}

/// A refusal.
pub(crate) struct Refusal(StatusCode, &'static str);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, self.1).into_response()
    }
}

impl From<SessionError> for Refusal {
    fn from(error: SessionError) -> Self {
        match error.is_outage() {
            true => Self(StatusCode::SERVICE_UNAVAILABLE, "the store cannot be reached"),
            // At which a client begins a new session.
            false => Self(StatusCode::NOT_FOUND, "there is no such session"),
        }
    }
}

impl From<ConnectionError> for Refusal {
    fn from(error: ConnectionError) -> Self {
        match error {
            ConnectionError::Session(error) => error.into(),
            ConnectionError::Ended | ConnectionError::Missing => {
                Self(StatusCode::NOT_FOUND, "the session has ended")
            }
            ConnectionError::TooManyOfSession | ConnectionError::Full => {
                Self(StatusCode::TOO_MANY_REQUESTS, "too much for one session")
            }
            _ => Self(StatusCode::SERVICE_UNAVAILABLE, "the store cannot be reached"),
        }
    }
}

fn registration() -> Registration {
    Registration {
        prefix: "/mcp".to_owned(),
        kind: "mcp".to_owned(),
        ..Registration::default()
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Refuses pages of other origins, which could reach a gateway on the user's own machine by DNS rebinding.
fn check_origin(headers: &HeaderMap) -> Result<(), Refusal> {
    let Some(origin) = headers.get(header::ORIGIN) else {
        return Ok(());
    };
    let host = text(headers, "host").unwrap_or_default();
    let is_own = origin
        .to_str()
        .ok()
        .and_then(|origin| origin.split_once("://"))
        .is_some_and(|(_, own)| own == host);
    match is_own {
        true => Ok(()),
        false => Err(Refusal(StatusCode::FORBIDDEN, "a page of another origin")),
    }
}

impl Gateway {
    pub(crate) async fn open(redis: &str, secret: &str) -> Result<Self, Box<dyn std::error::Error>> {
        let store = RedisStore::builder().open(&redis.parse()?).await?;
        let sessions = Sessions::builder()
            .signing_key("2026-11", secret)
            .build(store.clone())?;
        let connections = Connections::builder(&sessions).build(RedisMailbox::new(&store))?;
        Ok(Self {
            sessions,
            connections,
        })
    }

    pub(crate) fn router(self) -> Router {
        Router::new()
            .route("/mcp", post(receive).get(listen).delete(end))
            .layer(DefaultBodyLimit::max(MAXIMUM_BODY))
            .with_state(Arc::new(self))
    }

    async fn session(&self, headers: &HeaderMap) -> Result<Session, Refusal> {
        let token = text(headers, SESSION);
        let token = token.ok_or(Refusal(StatusCode::BAD_REQUEST, "Mcp-Session-Id is missing"))?;
        Ok(self.sessions.open(token).await?)
    }

    /// A new anonymous session, and its token.
    async fn begin(&self) -> Result<(String, Session), Refusal> {
        let session = self.sessions.create();
        session.set(CONNECTION, "")?;
        let token = session.save().await?.token.unwrap_or_default();
        Ok((token, session))
    }

    /// Registers a connection of a session, which every node finds by the session.
    async fn connect(&self, session: &Session) -> Result<Name, Refusal> {
        let name = self.connections.register(session, registration()).await?;
        session.set(CONNECTION, name.as_str())?;
        session.save().await?;
        Ok(name)
    }

    fn output(&self, session: &Session) -> Result<Output, Refusal> {
        let name: String = session.get(CONNECTION)?.unwrap_or_default();
        let name = name
            .parse()
            .map_err(|_| Refusal(StatusCode::NOT_FOUND, "the session has no stream"))?;
        Ok(Output {
            connections: self.connections.clone(),
            name,
        })
    }

    /// Responds to `initialize` with a session.
    async fn initialize(&self, id: &Value) -> Result<Response, Refusal> {
        let (token, session) = self.begin().await?;
        self.connect(&session).await?;
        let capabilities = json!({"tools": {}, "logging": {}});
        let server = json!({"name": "tessera-mcp-gateway", "version": env!("CARGO_PKG_VERSION")});
        let answer =
            json!({"protocolVersion": WITH_SESSIONS, "capabilities": capabilities, "serverInfo": server});
        Ok(([(SESSION, token)], Json(result(id, &answer))).into_response())
    }

    /// Responds to a request of a session. The notifications of a tool go to the stream of the session, at any node.
    async fn respond(
        &self,
        id: &Value,
        method: &str,
        params: &Value,
        session: &Session,
    ) -> Result<Value, Refusal> {
        Ok(match method {
            "ping" => result(id, &json!({})),
            "tools/list" => result(id, &tools::list()),
            "tools/call" => tools::call(id, params, &self.output(session)?).await?,
            "logging/setLevel" => result(id, &json!({})),
            _ => error(id, -32601, "there is no such method"),
        })
    }

    /// Responds to a request without a session: by a stream of its own, which ends with the response, and which nobody resumes.
    async fn respond_alone(&self, id: Value, params: Value) -> Result<Response, Refusal> {
        let (_, session) = self.begin().await?;
        let client = self.connections.open(&session, registration()).await?;
        let output = Output {
            connections: self.connections.clone(),
            name: client.name().clone(),
        };
        let until = Until::Response(Lone {
            id: id.clone(),
            session,
        });
        tokio::spawn(async move {
            // The client may be gone, and its connection with it.
            if let Ok(response) = tools::call(&id, &params, &output).await {
                let _ = output.send(&response).await;
            }
        });
        Ok(stream(client, until))
    }
}

/// `POST /mcp`: a message of the client.
async fn receive(
    State(gateway): State<Arc<Gateway>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    check_origin(&headers)?;
    let message = serde_json::from_slice(&body).ok().and_then(Incoming::read);
    match message.ok_or(Refusal(StatusCode::BAD_REQUEST, "the body is no message"))? {
        Incoming::Request { id, method, .. } if method == "initialize" => gateway.initialize(&id).await,
        Incoming::Request { id, method, params } if !headers.contains_key(SESSION) => match method.as_str() {
            "tools/call" => gateway.respond_alone(id, params).await,
            "tools/list" => Ok(Json(result(&id, &tools::list())).into_response()),
            _ => Err(Refusal(StatusCode::BAD_REQUEST, "Mcp-Session-Id is missing")),
        },
        Incoming::Request { id, method, params } => {
            let session = gateway.session(&headers).await?;
            Ok(Json(gateway.respond(&id, &method, &params, &session).await?).into_response())
        }
        Incoming::Other => {
            gateway.session(&headers).await?;
            Ok(StatusCode::ACCEPTED.into_response())
        }
    }
}

/// `GET /mcp`: the stream of a session. A client that comes back continues after its last event, at any node.
async fn listen(State(gateway): State<Arc<Gateway>>, headers: HeaderMap) -> Result<Response, Refusal> {
    check_origin(&headers)?;
    let session = gateway.session(&headers).await?;
    let last = text(&headers, "last-event-id").map(str::parse::<Cursor>);
    let last = last
        .transpose()
        .map_err(|_| Refusal(StatusCode::BAD_REQUEST, "Last-Event-ID is no id of a stream"))?;
    let name = gateway.output(&session)?.name;
    // A cursor of another connection is one of an earlier stream.
    let after = last
        .filter(|last| last.name == name)
        .map_or(MessageId::START, |last| last.after);
    let client = match gateway.connections.attach(&name, after, &session).await {
        Err(ConnectionError::Missing) => {
            // Its client was away for too long.
            let name = gateway.connect(&session).await?;
            gateway
                .connections
                .attach(&name, MessageId::START, &session)
                .await?
        }
        attached => attached?,
    };
    Ok(stream(client, Until::Ended))
}

/// `DELETE /mcp`: the client ends its session, and its streams at every node end with it.
async fn end(State(gateway): State<Arc<Gateway>>, headers: HeaderMap) -> Result<StatusCode, Refusal> {
    check_origin(&headers)?;
    let session = gateway.session(&headers).await?;
    let public_id = session.details()?.public_id;
    session.destroy().await?;
    gateway.connections.close_session(&public_id).await?;
    Ok(StatusCode::NO_CONTENT)
}
