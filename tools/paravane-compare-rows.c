/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which measurements paravane compare makes, in the order in which they are shown. Hides
 * nothing; must not know how one is made. What could not be made equal is said in the row.
 */
#include <stddef.h>

#include "paravane-compare.h"
#include "util.h"

#define KIB 1024u
#define IN_EXIT "answered inside the exit, by no thread"
#define DEPTH_ONE "depth 1: ATA has one command at a time; " IN_EXIT
#define MEMORY_KICK "a kick is a memory write, which KVM decodes; Xen's a port write"
#define AWAY "a write that would wait goes to another thread"
#define SEGMENTS_32 "32 grants a request; virtio, DMA: 1 address"
#define SHARED_32 SEGMENTS_32 "; 2 threads read"

/* Every model under one workload. */
#define DISK(table, label, model, op, flag, bytes, depth, unequal)			\
	{ table, label, model, op, { flag }, bytes, depth, unequal, false }
#define WORKLOAD(table, op, bytes, depth, ata, xen)					\
	DISK(table, "ATA PIO", "ata-pio", op, NULL, bytes, depth, ata),			\
	DISK(table, "ATA DMA", "ata-dma", op, NULL, bytes, depth, ata),			\
	DISK(table, "virtio", "virtio", op, NULL, bytes, depth, MEMORY_KICK),		\
	DISK(table, "Xen ring", "xen", op, NULL, bytes, depth, xen)

/* Of network cards: not quite as many frames as a ring of netif's, and virtio-net's here, has slots. */
#define AHEAD 240
#define SENT_IN_EXIT "sent inside the exit, by no thread"
#define FOUR_FRAMES "4 frames in flight: so many descriptors has the card; " SENT_IN_EXIT
#define RING_32K "a receive ring of 32 KiB"
#define NO_TASKS "frames of 1514 bytes and checksums by the guest: the card has no offloads"
#define SWITCHED "a switch looks where a frame belongs, and copies it"
#define BUFFERS_OUT "32 buffers of 68 KiB; netif: 256 pages"
#define BUFFERS_IN "64 buffers of 68 KiB; netif: 256 pages"
#define NIC(table, label, model, op, flag, bytes, depth, unequal)			\
	{ table, label, model, op, { flag }, bytes, depth, unequal, true }
#define NETWORK(table, op, bytes, depth, rtl, virtio)					\
	NIC(table, "RTL8139", "rtl8139", op, NULL, bytes, depth, rtl),			\
	NIC(table, "virtio-net", "virtio-net", op, NULL, bytes, depth, virtio),		\
	NIC(table, "Xen netif", "xen-net", op, NULL, bytes, depth, SWITCHED)
#define NIC_ONE(model, table, label, op, flag, unequal)					\
	NIC(table, label, model, op, flag, 1514, AHEAD, unequal)

#define ONE_VNET "virtio-net, one thing changed at a time: 1514-byte frames sent"
#define ONE_VNET_IN "virtio-net, one thing changed at a time: 1514-byte frames received"
#define ONE_VNET_STREAM_OUT "virtio-net, one thing changed at a time: stream out"
#define ONE_VNET_STREAM_IN "virtio-net, one thing changed at a time: stream in"
#define ONE_NETIF "Xen netif, one thing changed at a time: 1514-byte frames sent"
#define ONE_NETIF_IN "Xen netif, one thing changed at a time: 1514-byte frames received"
#define ONE_NETIF_STREAM_OUT "Xen netif, one thing changed at a time: stream out"
#define ONE_NETIF_STREAM_IN "Xen netif, one thing changed at a time: stream in"
#define NO_WAIT "who sends does not wait; what did not arrive is not counted as a frame"

#define ONE_VIRTIO "virtio, one thing changed at a time: 4 KiB random read"
#define ONE_XEN "Xen ring, one thing changed at a time: 4 KiB random read"
#define ONE_BIG "Xen ring, large requests: 128 KiB random read"

static const struct compare_row all_rows[] = {
	WORKLOAD("4 KiB random read, depth 1", "read", 4 * KIB, 1, IN_EXIT, ""),
	WORKLOAD("4 KiB random write, depth 1", "write", 4 * KIB, 1, IN_EXIT, AWAY),
	WORKLOAD("4 KiB random read, depth 32", "read", 4 * KIB, 32, DEPTH_ONE, ""),
	WORKLOAD("4 KiB random write, depth 32", "write", 4 * KIB, 32, DEPTH_ONE, AWAY),
	WORKLOAD("128 KiB random read, depth 1", "read", 128 * KIB, 1, IN_EXIT, SEGMENTS_32),
	WORKLOAD("128 KiB random read, depth 8", "read", 128 * KIB, 8, DEPTH_ONE, SHARED_32),

	DISK(ONE_VIRTIO, "depth 32", "virtio", "read", NULL, 4 * KIB, 32, ""),
	DISK(ONE_VIRTIO, "depth 1", "virtio", "read", NULL, 4 * KIB, 1, ""),
	DISK(ONE_VIRTIO, "a kick for each", "virtio", "read", "every-kick", 4 * KIB, 32, ""),
	DISK(ONE_VIRTIO, "no event index", "virtio", "read", "every-event", 4 * KIB, 32, ""),
	DISK(ONE_VIRTIO, "kick is an exit", "virtio", "read", "exits", 4 * KIB, 32,
	     "served on the guest's own CPU thread"),
	DISK(ONE_VIRTIO, "polling", "virtio", "read", "poll", 4 * KIB, 32, ""),

	DISK(ONE_VIRTIO, "back end same CPU", "virtio", "read", "same-cpu", 4 * KIB, 32, ""),
	DISK(ONE_VIRTIO, "back end own CPU", "virtio", "read", "own-cpu", 4 * KIB, 32, ""),

	DISK(ONE_XEN, "depth 32", "xen", "read", NULL, 4 * KIB, 32, ""),
	DISK(ONE_XEN, "depth 1", "xen", "read", NULL, 4 * KIB, 1, ""),
	DISK(ONE_XEN, "a kick for each", "xen", "read", "every-kick", 4 * KIB, 32, ""),
	DISK(ONE_XEN, "kick is an exit", "xen", "read", "exits", 4 * KIB, 32, ""),
	DISK(ONE_XEN, "no persistent", "xen", "read", "no-persistent", 4 * KIB, 32, ""),
	DISK(ONE_XEN, "copied in guest", "xen", "read", "bounce", 4 * KIB, 32, ""),
	DISK(ONE_XEN, "grants each time", "xen", "read", "fresh-grants", 4 * KIB, 32,
	     "no persistent grants, and copied in guest, too"),
	DISK(ONE_XEN, "polling", "xen", "read", "poll", 4 * KIB, 32, ""),

	DISK(ONE_XEN, "back end same CPU", "xen", "read", "same-cpu", 4 * KIB, 32, ""),
	DISK(ONE_XEN, "back end own CPU", "xen", "read", "own-cpu", 4 * KIB, 32, ""),

	DISK(ONE_BIG, "depth 8", "xen", "read", NULL, 128 * KIB, 8, ""),
	DISK(ONE_BIG, "no indirect", "xen", "read", "no-indirect", 128 * KIB, 8, ""),
	DISK(ONE_BIG, "no persistent", "xen", "read", "no-persistent", 128 * KIB, 8, ""),

	NETWORK("NIC: 64-byte frames sent", "send", 64, AHEAD, FOUR_FRAMES, MEMORY_KICK),
	NETWORK("NIC: 1514-byte frames sent", "send", 1514, AHEAD, FOUR_FRAMES, MEMORY_KICK),
	NETWORK("NIC: 64-byte frames received", "receive", 64, AHEAD, RING_32K, MEMORY_KICK),
	NETWORK("NIC: 1514-byte frames received", "receive", 1514, AHEAD, RING_32K, MEMORY_KICK),
	NETWORK("NIC: 64-byte frames there and back, depth 1", "ping", 64, 1, SENT_IN_EXIT,
		MEMORY_KICK),
	NETWORK("NIC: stream out, segments of 1460 bytes", "stream-out", 1514, AHEAD,
		NO_TASKS "; " FOUR_FRAMES, MEMORY_KICK "; " BUFFERS_OUT),
	NETWORK("NIC: stream in, segments of 1460 bytes", "stream-in", 1514, AHEAD,
		NO_TASKS "; " RING_32K, MEMORY_KICK "; " BUFFERS_IN),

	NIC_ONE("virtio-net", ONE_VNET, "as above", "send", NULL, ""),
	NIC_ONE("virtio-net", ONE_VNET, "a kick for each", "send", "every-kick", ""),
	NIC_ONE("virtio-net", ONE_VNET, "no event index", "send", "every-event", ""),
	NIC_ONE("virtio-net", ONE_VNET, "kick is an exit", "send", "exits", ""),
	NIC_ONE("virtio-net", ONE_VNET, "polling", "send", "poll", ""),
	NIC_ONE("virtio-net", ONE_VNET, "back end same CPU", "send", "same-cpu", ""),
	NIC_ONE("virtio-net", ONE_VNET, "back end own CPU", "send", "own-cpu", ""),
	NIC_ONE("virtio-net", ONE_VNET, "flood", "send", "flood", NO_WAIT),
	NIC_ONE("virtio-net", ONE_VNET_IN, "as above", "receive", NULL, ""),
	NIC_ONE("virtio-net", ONE_VNET_IN, "no event index", "receive", "every-event", ""),
	NIC_ONE("virtio-net", ONE_VNET_IN, "polling", "receive", "poll", ""),
	NIC_ONE("virtio-net", ONE_VNET_IN, "flood", "receive", "flood", NO_WAIT),
	NIC_ONE("virtio-net", ONE_VNET_STREAM_OUT, "as above", "stream-out", NULL, ""),
	NIC_ONE("virtio-net", ONE_VNET_STREAM_OUT, "no offloads", "stream-out", "no-offloads",
		"256 buffers of 2 KiB, not 32 of 68"),
	NIC_ONE("virtio-net", ONE_VNET_STREAM_IN, "as above", "stream-in", NULL, ""),
	NIC_ONE("virtio-net", ONE_VNET_STREAM_IN, "no offloads", "stream-in", "no-offloads",
		"256 buffers of 2 KiB, not 64 of 68; the kernel cuts the frames"),

	NIC_ONE("xen-net", ONE_NETIF, "as above", "send", NULL, ""),
	NIC_ONE("xen-net", ONE_NETIF, "a kick for each", "send", "every-kick", ""),
	NIC_ONE("xen-net", ONE_NETIF, "kick is an exit", "send", "exits", ""),
	NIC_ONE("xen-net", ONE_NETIF, "no static grants", "send", "no-static-grants", ""),
	NIC_ONE("xen-net", ONE_NETIF, "copied in guest", "send", "bounce", ""),
	NIC_ONE("xen-net", ONE_NETIF, "polling", "send", "poll", ""),
	NIC_ONE("xen-net", ONE_NETIF, "back end same CPU", "send", "same-cpu", ""),
	NIC_ONE("xen-net", ONE_NETIF, "back end own CPU", "send", "own-cpu", ""),
	NIC_ONE("xen-net", ONE_NETIF, "flood", "send", "flood", NO_WAIT),
	NIC_ONE("xen-net", ONE_NETIF_IN, "as above", "receive", NULL, ""),
	NIC_ONE("xen-net", ONE_NETIF_IN, "no static grants", "receive", "no-static-grants", ""),
	NIC_ONE("xen-net", ONE_NETIF_IN, "polling", "receive", "poll", ""),
	NIC_ONE("xen-net", ONE_NETIF_IN, "flood", "receive", "flood", NO_WAIT),
	NIC_ONE("xen-net", ONE_NETIF_STREAM_OUT, "as above", "stream-out", NULL, ""),
	NIC_ONE("xen-net", ONE_NETIF_STREAM_OUT, "no offloads", "stream-out", "no-offloads",
		"the switch verifies checksums and joins up to 64 segments"),
	NIC_ONE("xen-net", ONE_NETIF_STREAM_IN, "as above", "stream-in", NULL, ""),
	NIC_ONE("xen-net", ONE_NETIF_STREAM_IN, "no offloads", "stream-in", "no-offloads",
		"the switch cuts the frames"),
};

const struct compare_row *compare_rows(unsigned int *nr)
{
	*nr = ARRAY_LEN(all_rows);
	return all_rows;
}
