//! `wl_shm`: pools and buffers. The memory itself is behind [`Pools`](crate::Pools).

use super::client::{Client, Fault, Outcome};
use super::{Context, PoolWork};
use crate::Handle;
use crate::object::Kind;
use crate::tables::{wl_shm, wl_shm_pool};
use crate::wire::Args;

/// `wl_shm.error` values.
pub(super) mod error {
    pub(in crate::shim) const INVALID_FORMAT: u32 = 0;
    pub(in crate::shim) const INVALID_STRIDE: u32 = 1;
    pub(in crate::shim) const INVALID_FD: u32 = 2;
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Pool {
    size: i32,
    /// The `wl_shm_pool`, until it is destroyed.
    object: Option<u32>,
}

/// A picture in a pool. ARGB is premultiplied, so over the black of a kiosk it equals XRGB.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Buffer {
    /// The `wl_buffer`, until it is destroyed: then nobody waits for its release.
    pub(super) object: Option<u32>,
    pub(super) pool: Handle,
    pub(super) offset: u32,
    pub(super) width: i32,
    pub(super) height: i32,
    pub(super) stride: u32,
}

impl Client {
    pub(super) fn shm(
        &mut self,
        cx: &mut Context,
        shm: u32,
        opcode: u16,
        args: &Args<'_>,
    ) -> Outcome {
        if opcode != wl_shm::request::CREATE_POOL {
            return Ok(());
        }
        let (id, size) = (args.uint(0), args.int(2));
        let Some(handle) = args.handle(1) else {
            return Ok(());
        };
        // Kept first, so that a refused pool is closed with the client.
        let pool = Pool {
            size,
            object: Some(id),
        };
        self.pools.insert(handle, pool);
        if size <= 0 {
            return Err(Fault::new(shm, error::INVALID_STRIDE, "pool without bytes"));
        }
        if self.pools.len() > cx.limits.pools_max {
            return Err(Fault::limit("too many pools"));
        }
        self.create(cx, id, Kind::Pool(handle), self.version(shm))?;
        cx.pool_work.push_back(PoolWork::Open {
            client: self.id,
            blame: shm,
            handle,
            size: size as u32,
        });
        Ok(())
    }

    pub(super) fn pool(
        &mut self,
        cx: &mut Context,
        id: u32,
        handle: Handle,
        opcode: u16,
        args: &Args<'_>,
    ) -> Outcome {
        let Some(pool) = self.pools.get_mut(&handle) else {
            return Ok(());
        };
        match opcode {
            wl_shm_pool::request::CREATE_BUFFER => {
                let size = pool.size;
                self.create_buffer(cx, id, handle, size, args)?;
            }
            wl_shm_pool::request::RESIZE => {
                let size = args.int(0);
                if size < pool.size {
                    let message = "a pool cannot shrink";
                    return Err(Fault::new(id, error::INVALID_FD, message));
                }
                pool.size = size;
                cx.pool_work.push_back(PoolWork::Resize {
                    client: self.id,
                    blame: id,
                    handle,
                    size: size as u32,
                });
            }
            wl_shm_pool::request::DESTROY => {
                pool.object = None;
                self.sweep_pools(cx);
            }
            _ => {}
        }
        Ok(())
    }

    fn create_buffer(
        &mut self,
        cx: &Context,
        pool: u32,
        handle: Handle,
        size: i32,
        args: &Args<'_>,
    ) -> Outcome {
        let id = args.uint(0);
        let [offset, width, height, stride] = [1, 2, 3, 4].map(|i| args.int(i));
        if args.uint(5) > 1 {
            let message = "only ARGB8888 and XRGB8888 are offered";
            return Err(Fault::new(pool, error::INVALID_FORMAT, message));
        }
        let [o, w, h, s] = [offset, width, height, stride].map(i64::from);
        if o < 0 || w <= 0 || h <= 0 || s < w * 4 || o + s * h > i64::from(size) {
            let message = "buffer does not lie in its pool";
            return Err(Fault::new(pool, error::INVALID_STRIDE, message));
        }
        self.create(cx, id, Kind::Buffer, 1)?;
        let buffer = Buffer {
            object: Some(id),
            pool: handle,
            offset: offset as u32,
            width,
            height,
            stride: stride as u32,
        };
        self.buffers.insert(id, buffer);
        Ok(())
    }

    /// The picture stays where it is attached, as long as the client leaves its memory alone.
    pub(super) fn buffer_destroyed(&mut self, cx: &mut Context, id: u32) {
        self.buffers.remove(&id);
        for surface in self.surfaces.values_mut() {
            for buffer in surface.attached_mut() {
                if buffer.object == Some(id) {
                    buffer.object = None;
                }
            }
        }
        self.sweep_pools(cx);
    }

    /// Closes pools that neither the client nor a picture needs any more.
    pub(super) fn sweep_pools(&mut self, cx: &mut Context) {
        let Self {
            pools,
            buffers,
            surfaces,
            ..
        } = self;
        pools.retain(|&handle, pool| {
            let keep = pool.object.is_some()
                || buffers.values().any(|b| b.pool == handle)
                || surfaces
                    .values_mut()
                    .any(|s| s.attached_mut().any(|b| b.pool == handle));
            if !keep {
                cx.pool_work.push_back(PoolWork::Close { handle });
            }
            keep
        });
    }
}
