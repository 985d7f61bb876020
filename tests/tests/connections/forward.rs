//! Mailboxes that behave in one point differently from those that they stand over.

/// Forwards methods of `Mailbox` to the field `mailbox`.
macro_rules! forward {
    ($($method:ident)*) => { $(super::forward::forward!(@ $method);)* };
    (@ open) => {
        async fn open(
            &self,
            now: tessera::Timestamp,
            name: &tessera::connections::Name,
            head: &str,
            until: tessera::Timestamp,
        ) -> Result<(), tessera::connections::MailboxError> {
            self.mailbox.open(now, name, head, until).await
        }
    };
    (@ append) => {
        async fn append(
            &self,
            now: tessera::Timestamp,
            name: &tessera::connections::Name,
            message: &tessera::connections::Message,
            key: Option<&tessera::connections::SendKey>,
            bounds: &tessera::connections::Bounds,
        ) -> Result<tessera::connections::MessageId, tessera::connections::MailboxError> {
            self.mailbox.append(now, name, message, key, bounds).await
        }
    };
    (@ attach) => {
        async fn attach(
            &self,
            now: tessera::Timestamp,
            name: &tessera::connections::Name,
            holder: tessera::connections::Holder,
            until: tessera::Timestamp,
        ) -> Result<(), tessera::connections::MailboxError> {
            self.mailbox.attach(now, name, holder, until).await
        }
    };
    (@ detach) => {
        async fn detach(
            &self,
            now: tessera::Timestamp,
            name: &tessera::connections::Name,
            holder: tessera::connections::Holder,
            until: tessera::Timestamp,
        ) -> Result<bool, tessera::connections::MailboxError> {
            self.mailbox.detach(now, name, holder, until).await
        }
    };
    (@ end) => {
        async fn end(
            &self,
            now: tessera::Timestamp,
            name: &tessera::connections::Name,
            reason: tessera::connections::EndReason,
            until: tessera::Timestamp,
        ) -> Result<bool, tessera::connections::MailboxError> {
            self.mailbox.end(now, name, reason, until).await
        }
    };
    (@ read) => {
        async fn read(
            &self,
            now: tessera::Timestamp,
            name: &tessera::connections::Name,
            after: tessera::connections::MessageId,
            limit: tessera::connections::Limit,
        ) -> Result<tessera::connections::Batch, tessera::connections::MailboxError> {
            self.mailbox.read(now, name, after, limit).await
        }
    };
    (@ acknowledge) => {
        async fn acknowledge(
            &self,
            now: tessera::Timestamp,
            name: &tessera::connections::Name,
            holder: tessera::connections::Holder,
            through: tessera::connections::MessageId,
            replay: u32,
        ) -> Result<(), tessera::connections::MailboxError> {
            self.mailbox.acknowledge(now, name, holder, through, replay).await
        }
    };
    (@ keep) => {
        async fn keep(
            &self,
            now: tessera::Timestamp,
            names: &[tessera::connections::Name],
            until: tessera::Timestamp,
        ) -> Result<Vec<tessera::connections::Name>, tessera::connections::MailboxError> {
            self.mailbox.keep(now, names, until).await
        }
    };
    (@ look) => {
        async fn look(&self, now: tessera::Timestamp, names: &[tessera::connections::Name]) -> Result<Vec<tessera::connections::Walked>, tessera::connections::MailboxError> {
            self.mailbox.look(now, names).await
        }
    };
    (@ walk) => {
        async fn walk(
            &self,
            now: tessera::Timestamp,
            cursor: &str,
            limit: u32,
        ) -> Result<(Vec<tessera::connections::Walked>, Option<String>), tessera::connections::MailboxError> {
            self.mailbox.walk(now, cursor, limit).await
        }
    };
    (@ changed) => {
        fn changed(&self) -> impl futures_util::Stream<Item = tessera::connections::Changed> + Send + use<> {
            self.mailbox.changed()
        }
    };
}

pub(crate) use forward;
