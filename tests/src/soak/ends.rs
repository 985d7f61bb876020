//! The ends of a client's connection, and what the client has to have received by then.

use tokio::time::Instant;

use super::client::{Client, Gone, Life};
use super::http::PATIENCE;
use super::world::count;
use crate::http_client::bearer;
use crate::inbox::Inbox;

/// The ends of sessions.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Logout {
    /// By the client.
    Own,
    /// By a service, of all sessions of the subject.
    Revoked,
    /// A login replaces the token.
    Replaced,
}

impl Client {
    /// Ends a connection in some way.
    pub(super) async fn end(&mut self, life: &mut Life) -> Result<(), Gone> {
        let [logouts, abandoned] = self.world.ends;
        let logout = [Logout::Own, Logout::Revoked, Logout::Replaced][self.dice.below(3)];
        let ended = match self.dice.below(200) {
            0 if self.world.times.lifetime < PATIENCE => self.expire(life).await,
            number if number < logouts => self.end_session(life, logout).await,
            number if number < logouts + abandoned => self.abandon(life).await,
            _ => self.drain(life).await,
        };
        match ended {
            Err(Gone::Ended) => self.check_expired(life, Err(Gone::Ended)),
            ended => ended,
        }
    }

    /// Leaves for good.
    async fn abandon(&mut self, life: &mut Life) -> Result<(), Gone> {
        self.stay(life).await?;
        self.visit(life).await?;
        self.leave(life).await;
        count(&self.world.tally.abandoned);
        Ok(())
    }

    /// Stays until the end of the connection's life.
    async fn expire(&mut self, life: &mut Life) -> Result<(), Gone> {
        self.stay(life).await?;
        let until = life.opened + self.world.times.lifetime + self.world.times.end();
        let ended = self.receive(life, until, |inbox| inbox.end.is_some()).await;
        self.check_expired(life, ended)
    }

    /// An end is right at the end of the connection's life.
    pub(super) fn check_expired(&self, life: &Life, ended: Result<bool, Gone>) -> Result<(), Gone> {
        let is_due = life.opened.elapsed() + self.world.times.beat >= self.world.times.lifetime;
        match ended {
            Ok(true) | Err(Gone::Ended) if is_due => {
                count(&self.world.tally.expired);
                Ok(())
            }
            Ok(_) => Err(Gone::Wrong(format!("{} does not expire", life.inbox.name))),
            Err(Gone::Ended) => Err(Gone::Wrong(format!("{} ends", life.inbox.name))),
            Err(gone) => Err(gone),
        }
    }

    /// Receives every message that was acknowledged. Then a service ends the connection, and the client learns of it.
    async fn drain(&mut self, life: &mut Life) -> Result<(), Gone> {
        let Some(post) = life.post.clone() else {
            return Ok(());
        };
        let sent = self.world.close(&post).await;
        let until = Instant::now() + PATIENCE;
        let has_all = move |inbox: &Inbox| inbox.received >= sent;
        match self.receive(life, until, has_all).await {
            Ok(true) => {}
            Ok(false) => {
                let received = life.inbox.received;
                return Err(Gone::Wrong(format!(
                    "{}: {received} of {sent} messages have arrived",
                    life.inbox.name
                )));
            }
            Err(gone) => return Err(gone),
        }
        let headers = [("Authorization", bearer(&self.world.key))];
        let path = format!("/v1/connections/{}", life.inbox.name);
        let answer = self.call("DELETE", &path, &headers, None).await?;
        // 404 at a repetition, or because the connection has expired.
        if !matches!(answer.status, 204 | 404) {
            return Err(Gone::Wrong(format!("the end: {answer:?}")));
        }
        let until = Instant::now() + self.world.times.end();
        let ended = self.receive(life, until, |inbox| inbox.end.is_some()).await;
        match ended {
            Ok(true) | Err(Gone::Ended) => {
                count(&self.world.tally.ended);
                Ok(())
            }
            Ok(false) => Err(Gone::Wrong(format!(
                "{} is closed and does not end",
                life.inbox.name
            ))),
            Err(gone) => Err(gone),
        }
    }

    /// The session ends while the client is there.
    async fn end_session(&mut self, life: &mut Life, how: Logout) -> Result<(), Gone> {
        self.stay(life).await?;
        self.visit(life).await?;
        let (token, key) = (self.token.clone().unwrap_or_default(), &self.world.key);
        let own = ("Authorization", bearer(&token));
        let answer = match how {
            Logout::Own => self.call("DELETE", "/v1/session", &[own], None).await?,
            Logout::Revoked => {
                let path = format!("/v1/subjects/{}/sessions", self.subject);
                let headers = [("Authorization", bearer(key))];
                self.call("DELETE", &path, &headers, None).await?
            }
            Logout::Replaced => {
                let headers = [own, ("X-Tessera-Service-Key", key.clone())];
                let body = format!(r#"{{"subject":"{}"}}"#, self.subject);
                self.call("POST", "/v1/session/authenticate", &headers, Some(&body))
                    .await?
            }
        };
        // 401 at a repetition.
        if !matches!(answer.status, 200 | 204 | 401) {
            return Err(Gone::Wrong(format!("a logout: {answer:?}")));
        }
        let until = Instant::now() + self.world.times.end();
        let ended = self.receive(life, until, |inbox| inbox.end.is_some()).await;
        self.token = (how == Logout::Replaced && answer.status == 200).then(|| answer.token());
        match ended {
            Ok(true) | Err(Gone::Ended | Gone::LoggedOut) => {
                count(&self.world.tally.logged_out);
                Ok(())
            }
            Ok(false) => Err(Gone::Wrong(format!(
                "{} does not end with its session",
                life.inbox.name
            ))),
            Err(gone) => Err(gone),
        }
    }
}
