package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"tailscale.com/derp"
	"tailscale.com/types/key"
)

// A check returns nothing when the relay did what its clients are owed.
type check struct {
	name string
	run  func(f *verifyFlags) error
}

// Relays of a mesh tell each other about a client within this.
const meshDelay = 200 * time.Millisecond

type verifyFlags struct {
	packets, size, inFlight int
	other                   string
}

var checks = []check{
	{"order", inOrder},
	{"sizes", sizes},
	{"ping", ping},
	{"self", toOneself},
	{"duplicate", duplicate},
	{"gone", gone},
	{"unknown", unknown},
}

// verify runs every check; the result names those that failed, with the reason.
func verify(args []string) result {
	f := flags("verify")
	o := &verifyFlags{}
	f.IntVar(&o.packets, "n", 2000, "packets of the order check")
	f.IntVar(&o.size, "size", derp.MaxPacketSize, "their bytes")
	f.IntVar(&o.inFlight, "in-flight", 30, "of them in flight")
	f.StringVar(&o.other, "other", "", "URL of another relay of the mesh, where receivers log in")
	f.DurationVar(&patience, "patience", patience, "longest wait for one packet")
	only := f.String("only", "", "some checks by their names, separated by commas")
	f.Parse(args)
	r := result{"ok": true}
	failed, run := map[string]string{}, 0
	for _, c := range checks {
		if *only != "" && !slices.Contains(strings.Split(*only, ","), c.name) {
			continue
		}
		run++
		done := make(chan error, 1)
		go func() { done <- c.run(o) }()
		select {
		case err := <-done:
			if err != nil {
				failed[c.name] = err.Error()
			}
		case <-time.After(3 * patience):
			failed[c.name] = "it did not end"
		}
	}
	r["checks"] = run
	if len(failed) > 0 || run == 0 {
		r["ok"], r["failed"] = false, failed
	}
	return r
}

// next waits for a message that suits, passing over others.
func next[M derp.ReceivedMessage](c *client, wait time.Duration) (M, error) {
	type outcome struct {
		message M
		err     error
	}
	came := make(chan outcome, 1)
	go func() {
		for {
			message, err := c.Recv()
			if err != nil {
				came <- outcome{err: err}
				return
			}
			if wanted, ok := message.(M); ok {
				came <- outcome{message: wanted}
				return
			}
		}
	}()
	select {
	case o := <-came:
		return o.message, o.err
	case <-time.After(wait):
		var none M
		return none, fmt.Errorf("no %T within %v", none, wait)
	}
}

// two clients: the second at another relay, where one is named.
func (f *verifyFlags) two() (a, b *client, err error) {
	if a, err = login(key.NewNode()); err != nil {
		return nil, nil, err
	}
	if f.other == "" {
		b, err = login(key.NewNode())
		return a, b, err
	}
	b, err = loginAt(f.other, key.NewNode())
	time.Sleep(meshDelay)
	return a, b, err
}

// inOrder sends packets of random bytes, some in flight: all come, in order, unchanged.
func inOrder(f *verifyFlags) error {
	a, b, err := f.two()
	if err != nil {
		return err
	}
	defer a.Close()
	defer b.Close()
	room := make(chan struct{}, f.inFlight)
	var failure atomic.Value
	packetOf := func(i int) []byte {
		packet := make([]byte, f.size)
		rand.New(rand.NewSource(int64(i))).Read(packet)
		binary.BigEndian.PutUint32(packet, uint32(i))
		return packet
	}
	go func() {
		for i := range f.packets {
			room <- struct{}{}
			if err := a.Send(b.key, packetOf(i)); err != nil {
				failure.Store(err)
				return
			}
		}
	}()
	for i := range f.packets {
		packet, err := next[derp.ReceivedPacket](b, patience)
		if sending := failure.Load(); sending != nil {
			return sending.(error)
		}
		if err != nil {
			return fmt.Errorf("packet %d: %w", i, err)
		}
		if packet.Source != a.key {
			return fmt.Errorf("packet %d came from %v", i, packet.Source)
		}
		if !bytes.Equal(packet.Data, packetOf(i)) {
			return fmt.Errorf("packet %d of %d bytes came as other %d bytes, first %x", i, f.size, len(packet.Data), packet.Data[:min(4, len(packet.Data))])
		}
		<-room
	}
	return nil
}

// sizes from nothing to the largest.
func sizes(f *verifyFlags) error {
	a, b, err := f.two()
	if err != nil {
		return err
	}
	defer a.Close()
	defer b.Close()
	for _, size := range []int{0, 1, 31, 61, 62, 1280, 4051, 4096, 16384, 32768, 65535, 65536} {
		packet := bytes.Repeat([]byte{byte(size)}, size)
		if err := a.Send(b.key, packet); err != nil {
			return err
		}
		came, err := next[derp.ReceivedPacket](b, patience)
		if err != nil {
			return fmt.Errorf("%d bytes: %w", size, err)
		}
		if !bytes.Equal(came.Data, packet) {
			return fmt.Errorf("%d bytes came as %d", size, len(came.Data))
		}
	}
	return nil
}

func ping(*verifyFlags) error {
	a, err := login(key.NewNode())
	if err != nil {
		return err
	}
	defer a.Close()
	go func() {
		for {
			if _, err := a.Recv(); err != nil {
				return
			}
		}
	}()
	for range 5 {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		err := a.Ping(ctx)
		cancel()
		if err != nil {
			return err
		}
	}
	return nil
}

func toOneself(*verifyFlags) error {
	a, err := login(key.NewNode())
	if err != nil {
		return err
	}
	defer a.Close()
	return arrives(a, a, "to oneself")
}

// arrives sends one packet between clients and waits for it.
func arrives(from, to *client, text string) error {
	if err := from.Send(to.key, []byte(text)); err != nil {
		return err
	}
	packet, err := next[derp.ReceivedPacket](to, patience)
	if err != nil {
		return fmt.Errorf("%s: %w", text, err)
	}
	if string(packet.Data) != text || packet.Source != from.key {
		return fmt.Errorf("%s: %q came from %v", text, packet.Data, packet.Source)
	}
	return nil
}

// duplicate: of two connections with one key, packets go to the one that spoke last.
func duplicate(*verifyFlags) error {
	private := key.NewNode()
	sender, err := login(key.NewNode())
	if err != nil {
		return err
	}
	older, err := login(private)
	if err != nil {
		return err
	}
	newer, err := login(private)
	if err != nil {
		return err
	}
	defer sender.Close()
	defer older.Close()
	if err := arrives(sender, newer, "the newer is active"); err != nil {
		return err
	}
	if err := arrives(older, sender, "the older speaks"); err != nil {
		return err
	}
	if err := arrives(sender, older, "the older is active"); err != nil {
		return err
	}
	newer.Close()
	return arrives(sender, older, "one is left")
}

// gone: who received from a client hears that it has left.
func gone(f *verifyFlags) error {
	a, b, err := f.two()
	if err != nil {
		return err
	}
	defer b.Close()
	if err := arrives(a, b, "soon gone"); err != nil {
		return err
	}
	a.Close()
	message, err := next[derp.PeerGoneMessage](b, patience)
	if err != nil {
		return err
	}
	if message.Peer != a.key || message.Reason != derp.PeerGoneReasonDisconnected {
		return fmt.Errorf("heard %v of %v", message.Reason, message.Peer)
	}
	return nil
}

// unknown: a discovery packet for nobody is answered.
func unknown(*verifyFlags) error {
	a, err := login(key.NewNode())
	if err != nil {
		return err
	}
	defer a.Close()
	nobody := key.NewNode().Public()
	packet := make([]byte, 62)
	copy(packet, "TS\xf0\x9f\x92\xac")
	if err := a.Send(nobody, packet); err != nil {
		return err
	}
	message, err := next[derp.PeerGoneMessage](a, patience)
	if err != nil {
		return err
	}
	if message.Peer != nobody || message.Reason != derp.PeerGoneReasonNotHere {
		return fmt.Errorf("heard %v of %v", message.Reason, message.Peer)
	}
	return nil
}
