package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"go4.org/mem"
	"tailscale.com/derp"
	"tailscale.com/derp/derphttp"
	"tailscale.com/net/netmon"
	"tailscale.com/types/key"
)

// Longest wait for one thing that must happen.
var patience = 10 * time.Second

var dialled atomic.Uint32

func dial(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	if *spread {
		// A different address of 127/8 for each, as if from different hosts.
		i := dialled.Add(1)
		d.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, byte(1+i>>16&63), byte(i>>8), byte(1+i%250))}
	}
	return d.DialContext(ctx, network, address)
}

// client is the reference client, logged in.
type client struct {
	*derphttp.Client
	key  key.NodePublic
	conn net.Conn
}

// login connects the reference client with a private key and waits until the relay has said
// ServerInfo, as it does once the client is known to it.
func login(private key.NodePrivate) (*client, error) { return loginAt(*relayURL, private) }

func loginAt(url string, private key.NodePrivate) (*client, error) {
	c := &client{key: private.Public()}
	var err error
	c.Client, err = derphttp.NewClient(private, url, func(string, ...any) {}, netmon.NewStatic())
	if err != nil {
		return nil, err
	}
	c.SetURLDialer(func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		c.conn = conn
		return conn, err
	})
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := c.Connect(ctx); err != nil {
		return nil, err
	}
	for {
		message, err := c.Recv()
		if err != nil {
			c.Close()
			return nil, fmt.Errorf("login: %w", err)
		}
		if _, ok := message.(derp.ServerInfoMessage); ok {
			return c, nil
		}
	}
}

func mustLogin() *client {
	c, err := login(key.NewNode())
	if err != nil {
		log.Fatal(err)
	}
	return c
}

// rawClient is a logged-in connection whose frames we write and read ourselves.
type rawClient struct {
	conn *tls.Conn
	in   *bufio.Reader
	key  key.NodePublic
	tcp  net.Conn
}

func (r *rawClient) frame() (derp.FrameType, []byte, error) {
	var head [5]byte
	if _, err := io.ReadFull(r.in, head[:]); err != nil {
		return 0, nil, err
	}
	payload := make([]byte, binary.BigEndian.Uint32(head[1:]))
	_, err := io.ReadFull(r.in, payload)
	return derp.FrameType(head[0]), payload, err
}

func frameOf(kind derp.FrameType, parts ...[]byte) []byte {
	frame := []byte{byte(kind), 0, 0, 0, 0}
	for _, part := range parts {
		frame = append(frame, part...)
	}
	binary.BigEndian.PutUint32(frame[1:], uint32(len(frame)-5))
	return frame
}

func rawLogin() (*rawClient, error) {
	at, err := url.Parse(*relayURL)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	port := at.Port()
	if port == "" {
		port = "443"
	}
	tcp, err := dial(ctx, "tcp", net.JoinHostPort(at.Hostname(), port))
	if err != nil {
		return nil, err
	}
	r := &rawClient{conn: tls.Client(tcp, &tls.Config{ServerName: at.Hostname()}), tcp: tcp}
	r.in = bufio.NewReaderSize(r.conn, 1<<16)
	request, _ := http.NewRequest("GET", *relayURL, nil)
	request.Header.Set("Upgrade", "DERP")
	request.Header.Set("Connection", "Upgrade")
	if err := request.Write(r.conn); err != nil {
		return nil, err
	}
	answer, err := http.ReadResponse(r.in, request)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusSwitchingProtocols {
		return nil, fmt.Errorf("the relay answered %s to the upgrade", answer.Status)
	}
	_, hello, err := r.frame()
	if err != nil || len(hello) < 40 {
		return nil, fmt.Errorf("no ServerKey: %v", err)
	}
	private := key.NewNode()
	r.key = private.Public()
	box := private.SealTo(key.NodePublicFromRaw32(mem.B(hello[8:40])), []byte(`{"version":2}`))
	if _, err := r.conn.Write(frameOf(derp.FrameClientInfo, r.key.AppendTo(nil), box)); err != nil {
		return nil, err
	}
	kind, _, err := r.frame()
	if err != nil || kind != derp.FrameServerInfo {
		return nil, fmt.Errorf("no ServerInfo but %v: %v", kind, err)
	}
	return r, nil
}

func mustRawLogin() *rawClient {
	r, err := rawLogin()
	if err != nil {
		log.Fatal(err)
	}
	return r
}

// ownerOf tells which process of the relay serves a connection.
func ownerOf(conn net.Conn) int {
	local := conn.LocalAddr().(*net.TCPAddr).AddrPort()
	remote := conn.RemoteAddr().(*net.TCPAddr).AddrPort()
	return owner(netip.AddrPortFrom(local.Addr().Unmap(), local.Port()), remote)
}

// placed connects until a connection is served by a process that suits.
func placed[C any](connect func() C, conn func(C) net.Conn, suits func(pid int) bool) C {
	for range 200 {
		c := connect()
		if suits(ownerOf(conn(c))) {
			return c
		}
		conn(c).Close()
	}
	log.Fatal("200 connections, and none at the process that was asked for: give all of the relay's with -pid")
	panic("unreachable")
}

// pairOf makes a sender and a receiver: anywhere, or at the "same" process, or "across" two.
func pairOf[C any](place string, connect func() C, conn func(C) net.Conn) (from, to C) {
	from = connect()
	if place == "" {
		return from, connect()
	}
	home := ownerOf(conn(from))
	if home == 0 {
		log.Fatal("cannot see which process serves a connection: give the relay's with -pid")
	}
	return from, placed(connect, conn, func(pid int) bool {
		return pid != 0 && (pid == home) == (place == "same")
	})
}

// atOnce calls each(0..n-1), c calls at a time.
func atOnce(n, c int, each func(i int)) {
	var next atomic.Int64
	var wait sync.WaitGroup
	for range min(n, c) {
		wait.Add(1)
		go func() {
			defer wait.Done()
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				each(i)
			}
		}()
	}
	wait.Wait()
}
