package main

import (
	"bytes"
	"encoding/binary"
	"log"
	"net"
	"sync/atomic"
	"time"

	"tailscale.com/derp"
)

// A window that does not move for this long has lost what was in flight.
const stallAfter = time.Second

// window bounds what one pair has in flight. What a relay drops is missed from the window, which so
// shrinks to what the relay's queues hold, as the window of a congestion-controlled sender does; when
// nothing moves any more it is whole again.
type window struct {
	size     int64 // 0: no bound
	sent     atomic.Int64
	received atomic.Int64
	forgiven atomic.Int64
	behind   atomic.Int64 // one more than the highest number that came
	stalls   atomic.Int64
	moved    chan struct{}
}

func newWindow(size int) *window {
	return &window{size: int64(size), moved: make(chan struct{}, 1)}
}

// take waits for room for n and returns the number of the first.
func (w *window) take(n int64) int64 {
	for w.size > 0 && w.sent.Load()+n-w.received.Load()-w.forgiven.Load() > w.size {
		select {
		case <-w.moved:
		case <-time.After(stallAfter):
			w.stalls.Add(1)
			w.forgiven.Store(w.sent.Load() - w.received.Load())
		}
	}
	return w.sent.Add(n) - n
}

// give reports n packets that came, the last of them with this number.
func (w *window) give(n, last int64) {
	w.behind.Store(last + 1)
	w.received.Add(n)
	select {
	case w.moved <- struct{}{}:
	default:
	}
}

// load is pairs that send as fast as their windows let them.
type load struct{ windows []*window }

func (l *load) sent() (n int64) {
	for _, w := range l.windows {
		n += w.sent.Load()
	}
	return n
}

func (l *load) received() (n int64) {
	for _, w := range l.windows {
		n += w.received.Load()
	}
	return n
}

// lost counts packets that later ones have overtaken.
func (l *load) lost() (n int64) {
	for _, w := range l.windows {
		n += w.behind.Load() - w.received.Load()
	}
	return n
}

func (l *load) stalls() (n int64) {
	for _, w := range l.windows {
		n += w.stalls.Load()
	}
	return n
}

// measure lets a load come up, counts for a time, and reports.
func (l *load) measure(secs float64, size, n int) result {
	time.Sleep(500 * time.Millisecond)
	before, count := readUsage(), l.received()
	lost, stalls := l.lost(), l.stalls()
	time.Sleep(time.Duration(secs * float64(time.Second)))
	after, frames := readUsage(), l.received()-count
	r := result{"pairs": n, "size": size, "frames": frames}
	after.since(before, frames, r)
	wall := after.at.Sub(before.at).Seconds()
	r["kpps"] = float64(frames) / wall / 1e3
	r["gbit_s"] = float64(frames) * float64(size) * 8 / wall / 1e9
	r["lost"] = l.lost() - lost
	r["stalls"] = l.stalls() - stalls
	return r
}

// startBulk connects pairs that write many frames in one go.
func startBulk(n, size, batch, inFlight int, place string) *load {
	l := &load{}
	for range n {
		w := newWindow(inFlight)
		l.windows = append(l.windows, w)
		from, to := pairOf(place, mustRawLogin, func(r *rawClient) net.Conn { return r.tcp })
		one := frameOf(derp.FrameSendPacket, to.key.AppendTo(nil), make([]byte, size))
		many := bytes.Repeat(one, batch)
		go func() {
			for {
				first := w.take(int64(batch))
				for i := range batch {
					binary.BigEndian.PutUint64(many[i*len(one)+5+32:], uint64(first)+uint64(i))
				}
				if _, err := from.conn.Write(many); err != nil {
					log.Fatal("the relay ended a sender: ", err)
				}
			}
		}()
		go countFrames(to, w)
	}
	return l
}

// countFrames reads what comes, and reports packets to the window whenever it has read all that is
// here.
func countFrames(to *rawClient, w *window) {
	var found, last int64
	for {
		if to.in.Buffered() < 5 && found > 0 {
			w.give(found, last)
			found = 0
		}
		head, err := to.in.Peek(5)
		if err != nil {
			log.Fatal("the relay ended a receiver: ", err)
		}
		if derp.FrameType(head[0]) == derp.FrameRecvPacket {
			found++
			numbered, err := to.in.Peek(5 + 32 + 8)
			if err != nil {
				log.Fatal("the relay ended a receiver: ", err)
			}
			last = int64(binary.BigEndian.Uint64(numbered[5+32:]))
			head = numbered
		}
		if _, err := to.in.Discard(5 + int(binary.BigEndian.Uint32(head[1:]))); err != nil {
			log.Fatal("the relay ended a receiver: ", err)
		}
	}
}

func bulk(args []string) result {
	f := flags("bulk")
	n := f.Int("n", 1, "pairs")
	size := f.Int("size", 1312, "bytes of a packet, at least 8")
	batch := f.Int("batch", 16, "frames in one write")
	inFlight := f.Int("window", 128, "packets of a pair in flight")
	secs := f.Float64("secs", 5, "seconds to measure")
	place := f.String("place", "", "`same` or `across`: both ends at one process of the relay, or at two")
	f.Parse(args)
	return startBulk(*n, *size, *batch, *inFlight, *place).measure(*secs, *size, *n)
}

func pairs(args []string) result {
	f := flags("pairs")
	n := f.Int("n", 1, "pairs")
	size := f.Int("size", 1312, "bytes of a packet, at least 8")
	inFlight := f.Int("window", 64, "packets of a pair in flight")
	secs := f.Float64("secs", 5, "seconds to measure")
	place := f.String("place", "", "`same` or `across`: both ends at one process of the relay, or at two")
	f.Parse(args)
	l := &load{}
	for range *n {
		w := newWindow(*inFlight)
		l.windows = append(l.windows, w)
		from, to := pairOf(*place, mustLogin, func(c *client) net.Conn { return c.conn })
		packet := make([]byte, *size)
		go func() {
			for {
				binary.BigEndian.PutUint64(packet, uint64(w.take(1)))
				if err := from.Send(to.key, packet); err != nil {
					log.Fatal("the relay ended a sender: ", err)
				}
			}
		}()
		go func() {
			for {
				message, err := to.Recv()
				if err != nil {
					log.Fatal("the relay ended a receiver: ", err)
				}
				if packet, ok := message.(derp.ReceivedPacket); ok {
					w.give(1, int64(binary.BigEndian.Uint64(packet.Data)))
				}
			}
		}()
	}
	return l.measure(*secs, *size, *n)
}
