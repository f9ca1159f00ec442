/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Every key of the block and net protocols and of the tool stack's
 * directories, with who writes it, its type and unit, and what a missing one
 * means.
 *
 * Hides: nothing; it is the table the rest of this room reads from. Must not
 * know: paths as a whole (xenbus.h), which keys belong together (vbd.h). No
 * other room spells a key.
 *
 * Columns of each comment:
 *   writer   B back end, F front end, T tool stack, H hotplug script; the
 *            directory is the writer's own device directory unless T, whose
 *            column names it: Tb in the back end's, Tf in the front end's
 *   type     flag (0 or 1), u32, u64, text, list; with the unit
 *   default  what a reader assumes when it is missing; "-": it must exist
 *   source   b: xen/io/blkif.h, n: xen/io/netif.h, x: xen/io/xenbus.h,
 *            l: libxl and its hotplug scripts, L: Linux drivers only,
 *            P: Paravane only
 * All values are text; numbers are decimal without sign.
 */
#ifndef PV_KEYS_H
#define PV_KEYS_H

/* ---- directories --------------------------------------------------------- */

#define DIR_LOCAL_DOMAIN	"/local/domain"	/* one directory per domid */
#define DIR_LIBXL		"/libxl"	/* libxl's private copy, per domid */
#define DIR_BACKEND		"backend"	/* below a domain: KIND/DOMID/DEVID */
#define DIR_DEVICE		"device"	/* below a domain: KIND/DEVID */
#define DIR_ERROR		"error"		/* below a domain: why a device failed,
						   by its path below the domain */

#define KIND_VBD		"vbd"	/* block; also the front end's for all of them */
#define KIND_VBD3		"vbd3"	/* block, user-space back end (xl 4.19's tap) */
#define KIND_QDISK		"qdisk"	/* block, QEMU */
#define KIND_VIF		"vif"	/* net; also the front end's for all of them */
#define KIND_QNIC		"qnic"	/* net, QEMU */

/* ---- a domain's directory ------------------------------------------------ */

#define KEY_DOMID		"domid"	/* T, u32, -, l: own number, by relative path */
#define KEY_NAME		"name"	/* T, text, none, l: the name people use */

/* ---- every device -------------------------------------------------------- */

#define KEY_STATE		"state"		/* B F T, u32 XenbusState, Unknown, x: T writes
						   1 at creation and 5 into B's to detach */
#define KEY_ERROR		"error"		/* B F, text "ERRNO words", none, L: below
						   DIR_ERROR, not in the device directory */
#define KEY_FRONTEND		"frontend"	/* Tb, text, -, x: F's directory, absolute */
#define KEY_FRONTEND_ID		"frontend-id"	/* Tb, u32 domid, -, x */
#define KEY_BACKEND		"backend"	/* Tf, text, -, x: B's directory, absolute */
#define KEY_BACKEND_ID		"backend-id"	/* Tf, u32 domid, -, x */
#define KEY_ONLINE		"online"	/* Tb, flag, 1, x: 0: do not come back after
						   Closed (Linux takes 0 when missing) */
#define KEY_SCRIPT		"script"	/* Tb, text path, none, l: B waits for it */
#define KEY_HOTPLUG_STATUS	"hotplug-status" /* H, text, none, l: connected; error, or busy
						   where somebody else has it; empty while
						   the script runs */
#define KEY_HOTPLUG_ERROR	"hotplug-error"	/* H, text, none, l: the script's words */
#define KEY_TYPE		"type"		/* Tb, text, none, l: phy qdisk tap; vif ... */
#define KEY_LIMIT		"limit"		/* Tb, text, none, P: limit.h says how; may change
						   while connected */
#define KEY_LIMIT_IN_FORCE	"limit-in-force" /* B, text, none, P: what serves the device
						   keeps to this; only where something is
						   limited, or was */
#define KEY_TRUSTED		"trusted"	/* Tf, flag, 1, b n: 0: F copies and zeroes all */

/* ---- vbd: tool stack and hotplug script to back end ----------------------- */

#define KEY_PARAMS		"params"	/* Tb, text, -, b: [FORMAT:]PATH or the script's */
#define KEY_PHYSICAL_DEVICE	"physical-device" /* H, text hex MAJOR:MINOR, none, b */
#define KEY_PHYSICAL_DEVICE_PATH "physical-device-path" /* H, text path, none, b */
#define KEY_MODE		"mode"		/* Tb, text, -, b: r, w; w! shares for writing */
#define KEY_DEV			"dev"		/* Tb, text, none, l: xvda */
#define KEY_REMOVABLE		"removable"	/* Tb, flag, 0, l */
#define KEY_BOOTABLE		"bootable"	/* Tb, flag, 0, l: for a boot loader in dom0 */
#define KEY_DEVICE_TYPE		"device-type"	/* Tb Tf, text, disk, b: disk cdrom floppy */
#define KEY_DISCARD_ENABLE	"discard-enable" /* Tb, flag, 1, b: 0: offer no discard */
#define KEY_DISCARD_SECURE_ENABLE "discard-secure-enable" /* Tb, flag, what the device can, P:
						   0: not offered; 1: by overwriting where
						   the image has no other way */
#define KEY_FLUSH_ENABLE	"flush-enable"	/* Tb, flag, 1, P: 0: write barriers only, and
						   no indirect requests (vbd.h says why) */
#define KEY_LOGICAL_BLOCK_SIZE	"logical-block-size" /* Tb, u32 bytes, the image's, P: 512 to
						   4096: what B publishes as sector-size */
#define KEY_PHYSICAL_BLOCK_SIZE	"physical-block-size" /* Tb, u32 bytes, the image's, P: as
						   physical-sector-size */
#define KEY_MAX_INDIRECT_SEGMENTS "max-indirect-segments" /* Tb, u32, the daemon's option, P:
						   what B offers at most; 0: none */
#define KEY_DIRECT_IO_SAFE	"direct-io-safe" /* Tb, flag, 0, b: O_DIRECT is allowed */
#define KEY_SPECIFICATION	"specification"	/* Tb, text, xen, l: xen, virtio */
#define KEY_CACHE		"cache"		/* Tb, text, writeback, P: writeback
						   writethrough none; over direct-io-safe */
#define KEY_IO_TIMEOUT		"io-timeout"	/* Tb, u32 seconds, the daemon's, P: how long
						   requests wait for a server; 0: ever */
#define KEY_MIRROR		"mirror"	/* Tb, text, none, P: a mirror that is wanted (mirror-wish.h);
						   B removes it when it is over */
#define KEY_GRANT_MODE		"grant-mode"	/* Tb, text, the daemon's, P: auto persistent
						   map copy */
#define KEY_VIRTUAL_DEVICE	"virtual-device" /* Tf, u32, -, b: MAJOR << 8 | MINOR, or
						   1 << 28 | DISK << 8 | PARTITION */

/* ---- vbd: back end to front end ------------------------------------------ */

#define KEY_SECTORS		"sectors"	/* B, u64 of 512 bytes, -, b: QEMU counts in
						   sector-size */
#define KEY_SECTOR_SIZE		"sector-size"	/* B, u32 bytes, -, b: power of two, 512 up */
#define KEY_PHYSICAL_SECTOR_SIZE "physical-sector-size" /* B, u32 bytes, sector-size, b */
#define KEY_INFO		"info"		/* B, u32 bits, -, b: 1 CD, 2 removable, 4 ro */
#define KEY_FEATURE_BARRIER	"feature-barrier" /* B, flag, 0, b: operation 2 */
#define KEY_FEATURE_FLUSH_CACHE	"feature-flush-cache" /* B, flag, 0, b: operation 3 */
#define KEY_FEATURE_DISCARD	"feature-discard" /* B, flag, 0, b: operation 5 */
#define KEY_DISCARD_GRANULARITY	"discard-granularity" /* B, u32 bytes, sector-size, b */
#define KEY_DISCARD_ALIGNMENT	"discard-alignment" /* B, u32 bytes, 0, b */
#define KEY_DISCARD_SECURE	"discard-secure" /* B, flag, 0, b */
#define KEY_FEATURE_PERSISTENT	"feature-persistent" /* B F, flag, 0, b: grants stay mapped */
#define KEY_FEATURE_MAX_INDIRECT_SEGMENTS "feature-max-indirect-segments"
						/* B, u32 segments, 0, b: operation 6 */
#define KEY_MAX_RING_PAGE_ORDER	"max-ring-page-order" /* B, u32 log2 pages, 0, b */
#define KEY_MAX_RING_PAGES	"max-ring-pages" /* B, u32 pages, 1, b: deprecated, not written */
#define KEY_MULTI_QUEUE_MAX_QUEUES "multi-queue-max-queues" /* B, u32, 1, b n */

/* ---- vbd: front end to back end ------------------------------------------ */

#define KEY_RING_REF		"ring-ref"	/* F, u32 gref, -, b: of a ring of one page */
#define KEY_RING_REF_N		"ring-ref%u"	/* F, u32 gref, -, b: of page N of a larger one */
#define KEY_RING_PAGE_ORDER	"ring-page-order" /* F, u32 log2 pages, 0, b */
#define KEY_NUM_RING_PAGES	"num-ring-pages" /* F, u32 pages, 1, b: deprecated, read only */
#define KEY_EVENT_CHANNEL	"event-channel"	/* F, u32 port, -, b n */
#define KEY_PROTOCOL		"protocol"	/* F Tf, text, native, b: x86_32-abi x86_64-abi
						   arm-abi; QEMU takes x86_32 when missing */
#define KEY_FEATURE_LARGE_SECTOR_SIZE "feature-large-sector-size"
						/* F, flag, 0, b: deprecated, not written */
#define KEY_MULTI_QUEUE_NUM_QUEUES "multi-queue-num-queues" /* F, u32 1 up, 1, b n */
#define KEY_QUEUE_PREFIX	"queue-"	/* what their names begin with */
#define KEY_QUEUE_N		"queue-%u"	/* F, directory, none, b n: holds the ring and
						   event channel keys when queues > 1 */

/* ---- vif: tool stack and hotplug script to back end ----------------------- */

#define KEY_HANDLE		"handle"	/* Tb Tf, u32, 0, n: the interface's number */
#define KEY_MAC			"mac"		/* Tb Tf, text aa:bb:cc:dd:ee:ff, -, n */
#define KEY_BRIDGE		"bridge"	/* Tb, text, ours: "default", l: xl writes xenbr0 */
#define KEY_VIFNAME		"vifname"	/* Tb, text, vifDOMID.DEVID, l */
#define KEY_IP			"ip"		/* Tb, text addresses, none, l */
#define KEY_VLAN		"vlan"		/* Tb, text, none, l: vif_parse_vlan() says how;
						   ours to change while connected */
#define KEY_GATEWAYDEV		"gatewaydev"	/* Tb, text, none, l */
#define KEY_RATE		"rate"		/* Tb, text "BYTES,USEC", unlimited, l */
#define KEY_RATE_BITS		"rate-bits"	/* Tb, u64 bits per second, unlimited, P: over rate */
#define KEY_ISOLATED		"isolated"	/* Tb, flag, 0, P: exchanges frames with ports
						   that are not, only */
#define KEY_ANY_SOURCE		"any-source"	/* Tb, flag, 0, P: may send from any address */
#define KEY_MAX_QUEUES		"max-queues"	/* Tb, u32, the daemon's, P: what B offers at most,
						   1 to 16 */
#define KEY_DISCONNECT		"disconnect"	/* Tf, flag, 0, xapi's: 1: the link is down; read by
						   Windows' xenvif alone, which watches it */
#define KEY_MTU			"mtu"		/* Tb Tf, u32 bytes, 1500, n */

/* ---- vif: back end to front end ------------------------------------------ */

#define KEY_FEATURE_PREFIX	"feature-"	/* what all features' keys begin with */

#define KEY_CARRIER		"carrier"	/* B, flag, 1, n: link up */
#define KEY_FEATURE_SG		"feature-sg"	/* B F, flag, 0, n: several slots a packet */
#define KEY_FEATURE_GSO_TCPV4	"feature-gso-tcpv4" /* B F, flag, 0, n */
#define KEY_FEATURE_GSO_TCPV6	"feature-gso-tcpv6" /* B F, flag, 0, n */
#define KEY_FEATURE_GSO_TCPV4_PREFIX "feature-gso-tcpv4-prefix" /* F, flag, 0, n: deprecated */
#define KEY_FEATURE_GSO_TCPV6_PREFIX "feature-gso-tcpv6-prefix" /* F, flag, 0, n: deprecated */
#define KEY_FEATURE_NO_CSUM_OFFLOAD "feature-no-csum-offload" /* F, flag, 0, n: IPv4 sums
						   must be complete */
#define KEY_FEATURE_IPV6_CSUM_OFFLOAD "feature-ipv6-csum-offload" /* B F, flag, 0, n */
#define KEY_FEATURE_RX_COPY	"feature-rx-copy" /* B, flag, 0, n: can copy to F */
#define KEY_FEATURE_RX_FLIP	"feature-rx-flip" /* B, flag, 1, n: can transfer pages to F */
#define KEY_RX_FLIP_ENDED	"rx-flip-ended"	/* B, flag, 0, P: what was asked for with
						   request-rx-flip is over, F offers
						   pages to copy into from now on */
#define KEY_FEATURE_SPLIT_EVENT_CHANNELS "feature-split-event-channels"
						/* B, flag, 0, n */
#define KEY_FEATURE_MULTICAST_CONTROL "feature-multicast-control" /* B, flag, 0, n */
#define KEY_FEATURE_DYNAMIC_MULTICAST_CONTROL "feature-dynamic-multicast-control"
						/* B, flag, 0, n */
#define KEY_FEATURE_CTRL_RING	"feature-ctrl-ring" /* B, flag, 0, n */
#define KEY_FEATURE_XDP_HEADROOM "feature-xdp-headroom" /* B, flag, 0, L */

/* ---- vif: front end to back end ------------------------------------------ */

#define KEY_TX_RING_REF		"tx-ring-ref"	/* F, u32 gref, -, n */
#define KEY_RX_RING_REF		"rx-ring-ref"	/* F, u32 gref, -, n */
#define KEY_CTRL_RING_REF	"ctrl-ring-ref"	/* F, u32 gref, none, n */
#define KEY_EVENT_CHANNEL_TX	"event-channel-tx" /* F, u32 port, event-channel, n */
#define KEY_EVENT_CHANNEL_RX	"event-channel-rx" /* F, u32 port, event-channel, n */
#define KEY_EVENT_CHANNEL_CTRL	"event-channel-ctrl" /* F, u32 port, none, n */
#define KEY_REQUEST_RX_COPY	"request-rx-copy" /* F, flag, 0, n: 0 asks for flip */
#define KEY_REQUEST_RX_FLIP	"request-rx-flip" /* F, flag, 0, P: with request-rx-copy 0:
						   flip, which absence alone never means */
#define KEY_FEATURE_RX_NOTIFY	"feature-rx-notify" /* F, flag, 0, n: F tells of new buffers */
#define KEY_REQUEST_MULTICAST_CONTROL "request-multicast-control" /* F, flag, 0, n */
#define KEY_XDP_HEADROOM	"xdp-headroom"	/* F, u32 bytes, 0, L */

/* ---- switches: administrator to back end ----------------------------------
 * Below the back end's own domain: DIR_SWITCHES/NAME, and for each uplink
 * DIR_SWITCHES/NAME/DIR_UPLINK/IFNAME with KEY_BRIDGE (the kernel's or Open
 * vSwitch's that it joins; "": none), KEY_VLAN, KEY_ISOLATED, KEY_MTU as of a vif.
 * All are written by T of the back end's domain, or dom0's, and are ours. In NAME and
 * IFNAME what is no letter, digit, '-' or '_' is '@' and two hex digits.
 */

#define DIR_SWITCHES		"paravane-bridge"
#define DIR_UPLINK		"uplink"
#define KEY_AGEING_MS		"ageing-ms"	/* u32 ms 1 up, 300000: an address not seen */
#define KEY_MOVE_MS		"move-ms"	/* u32 ms, 1000: before an address may move */

#endif
