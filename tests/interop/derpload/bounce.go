package main

import (
	"encoding/binary"
	"log"
	"sync"
	"sync/atomic"
	"time"

	"tailscale.com/derp"
)

// A bounced packet that is not back after this is lost.
const lostAfter = 2 * time.Second

// bouncer sends packets through the relay to a second client that sends them back.
type bouncer struct {
	near, far *client
	came      chan uint64
	size      int
	next      uint64
}

func newBouncer(size int) *bouncer {
	b := &bouncer{near: mustLogin(), far: mustLogin(), came: make(chan uint64, 64), size: max(size, 8)}
	go receive(b.far, func(packet derp.ReceivedPacket) {
		if err := b.far.Send(packet.Source, packet.Data); err != nil {
			log.Fatal("the relay ended a client: ", err)
		}
	})
	go receive(b.near, func(packet derp.ReceivedPacket) {
		if len(packet.Data) >= 8 {
			b.came <- binary.BigEndian.Uint64(packet.Data)
		}
	})
	return b
}

func receive(c *client, each func(derp.ReceivedPacket)) {
	for {
		message, err := c.Recv()
		if err != nil {
			log.Fatal("the relay ended a client: ", err)
		}
		if packet, ok := message.(derp.ReceivedPacket); ok {
			each(packet)
		}
	}
}

// bounce sends one packet there and back; false when it is lost.
func (b *bouncer) bounce() (time.Duration, bool) {
	b.next++
	packet := make([]byte, b.size)
	binary.BigEndian.PutUint64(packet, b.next)
	start := time.Now()
	if err := b.near.Send(b.far.key, packet); err != nil {
		log.Fatal("the relay ended a client: ", err)
	}
	timeout := time.After(lostAfter)
	for {
		select {
		case number := <-b.came:
			if number == b.next {
				return time.Since(start), true
			}
		case <-timeout:
			return 0, false
		}
	}
}

func rtt(args []string) result {
	f := flags("rtt")
	n := f.Int("n", 2000, "packets")
	size := f.Int("size", 100, "bytes of a packet")
	gap := f.Duration("gap", 0, "time between them")
	beside := f.Int("beside", 0, "pairs that send in bulk meanwhile")
	f.Parse(args)
	r := result{}
	b := newBouncer(*size)
	other := startBeside(*beside, 128)
	for range 100 {
		b.bounce()
	}
	var times []time.Duration
	before, lost := readUsage(), 0
	for range *n {
		if took, ok := b.bounce(); ok {
			times = append(times, took)
		} else {
			lost++
		}
		time.Sleep(*gap)
	}
	after := readUsage()
	after.since(before, 0, r)
	r["n"], r["lost"], r["beside"] = len(times), lost, *beside
	if *beside > 0 {
		r["beside_kpps"] = other.end()["kpps"]
	}
	percentiles(times, r)
	return r
}

// fair: one client writes as fast as TCP takes it, to a receiver that reads all; others bounce
// small packets at an easy pace.
func fair(args []string) result {
	f := flags("fair")
	n := f.Int("n", 50, "clients that bounce packets")
	gap := f.Duration("gap", 20*time.Millisecond, "time between the packets of one")
	secs := f.Float64("secs", 3, "seconds to measure")
	quiet := f.Bool("quiet", false, "no flood: what the pings take without it")
	f.Parse(args)
	bouncers := make([]*bouncer, *n)
	atOnce(*n, 8, func(i int) { bouncers[i] = newBouncer(100) })
	var flood *companion
	if !*quiet {
		flood = startBeside(1, 0)
	}
	var lock sync.Mutex
	var times []time.Duration
	var lost, sent atomic.Int64
	before := readUsage()
	end := before.at.Add(time.Duration(*secs * float64(time.Second)))
	var wait sync.WaitGroup
	for i, b := range bouncers {
		wait.Add(1)
		go func() {
			defer wait.Done()
			// Not all in the same instant, as real pings are not.
			time.Sleep(*gap * time.Duration(i) / time.Duration(*n))
			for time.Now().Before(end) {
				sent.Add(1)
				if took, ok := b.bounce(); ok {
					lock.Lock()
					times = append(times, took)
					lock.Unlock()
				} else {
					lost.Add(1)
				}
				time.Sleep(*gap)
			}
		}()
	}
	wait.Wait()
	after := readUsage()
	r := result{"n": *n, "sent": sent.Load(), "lost": lost.Load()}
	after.since(before, 0, r)
	if flood != nil {
		did := flood.end()
		r["flood_kpps"], r["flood_sent_kpps"] = did["kpps"], did["sent_kpps"]
	}
	percentiles(times, r)
	return r
}
