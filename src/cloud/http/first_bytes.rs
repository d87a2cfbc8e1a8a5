//! Watches the first bytes that a server sends: they tell what it speaks where it is not what was expected.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Enough for `HTTP/1.1`.
const KEPT_BYTES: usize = 8;

/// The first bytes of a stream.
#[derive(Debug, Clone, Default)]
pub struct FirstBytes(Arc<Mutex<Vec<u8>>>);

/// A stream that is watched.
pub struct Watched<S> {
    stream: S,
    first_bytes: FirstBytes,
}

impl FirstBytes {
    /// Watches a stream.
    pub fn watch<S>(stream: S) -> (Watched<S>, FirstBytes) {
        let first_bytes = FirstBytes::default();
        (Watched { stream, first_bytes: first_bytes.clone() }, first_bytes)
    }

    /// Whether nothing has come.
    pub fn is_empty(&self) -> bool {
        self.kept().is_empty()
    }

    /// Whether what came begins as an answer of HTTP/1.
    pub fn are_http(&self) -> bool {
        let kept = self.kept();
        !kept.is_empty() && b"HTTP/1.".starts_with(&kept[..kept.len().min(7)])
    }

    /// Whether what came begins as a record of TLS (RFC 8446, section 5.1).
    pub fn are_tls(&self) -> bool {
        let kept = self.kept();
        matches!(kept.first(), Some(0x14..=0x17)) && kept.get(1).is_none_or(|major| *major == 3)
    }

    fn kept(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn keep(&self, bytes: &[u8]) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = KEPT_BYTES.saturating_sub(kept.len()).min(bytes.len());
        kept.extend_from_slice(&bytes[..room]);
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        self.first_bytes.keep(&buffer.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_first_bytes_tell() {
        for (bytes, are_http, are_tls) in [
            (&b"HTTP/1.1 200"[..], true, false),
            (b"HT", true, false),
            (b"SSH-2.0-x", false, false),
            (b"\x15\x03\x01\x00\x02", false, true),
            (b"\x16", false, true),
            (b"\x16\x00", false, false),
            (b"", false, false),
        ] {
            let first_bytes = FirstBytes::default();
            first_bytes.keep(bytes);
            first_bytes.keep(b"");
            assert_eq!((first_bytes.are_http(), first_bytes.are_tls()), (are_http, are_tls), "{bytes:?}");
            assert_eq!(first_bytes.is_empty(), bytes.is_empty());
        }
    }
}
