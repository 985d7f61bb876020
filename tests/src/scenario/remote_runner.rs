//! A runner's hosts and sessions in a Worker, and its calls on them.

use tessera::SessionError;
use tessera::store::StoreService;

use super::args::Args;
use super::outcome;
use super::remote_host::Host;
use super::remote_session::Session;
use super::runner::Runner;

impl<S: StoreService> Runner<S> {
    pub(super) fn far_host(&self, args: &mut Args) -> Result<Host<S>, String> {
        let name = args.text_or("host", "main")?;
        let hosts = self.remote.as_ref().map(|remote| &remote.hosts);
        hosts
            .and_then(|hosts| hosts.get(&name))
            .cloned()
            .ok_or_else(|| format!("unknown host {name:?}"))
    }

    pub(super) fn far_session(&self, args: &mut Args) -> Result<Session<S>, String> {
        let name = args.text("on")?;
        let sessions = self.remote.as_ref().map(|remote| &remote.sessions);
        let session = sessions.and_then(|sessions| sessions.get(&name)).cloned();
        session.ok_or_else(|| format!("unknown session {name:?}"))
    }

    pub(super) fn far_keep(&mut self, name: String, session: Session<S>) {
        if let (Some(remote), false) = (&mut self.remote, name.is_empty()) {
            remote.sessions.insert(name, session);
        }
    }

    pub(super) fn far_key_prefix(&self, args: &mut Args) -> Result<String, String> {
        let host = self.far_host(args)?;
        host.policy["keyPrefix"]
            .as_str()
            .map(str::to_owned)
            .ok_or_else(|| "the policy has no prefix".to_owned())
    }

    /// As [`Runner::call`], for a call in a Worker. The result is returned unchanged.
    pub(super) async fn far_call<T>(
        &mut self,
        call: impl Future<Output = Result<T, String>>,
    ) -> Result<T, String> {
        let answered = self
            .call(async move { Ok::<_, SessionError>(call.await) })
            .await?;
        answered.map_err(|error| outcome::error_of(&error.to_string()).to_string())?
    }
}
