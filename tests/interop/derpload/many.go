package main

import (
	"log"
	"time"

	"tailscale.com/types/key"
)

func idle(args []string) result {
	f := flags("idle")
	n := f.Int("n", 1000, "connections")
	warm := f.Int("warm", 50, "logins before the first look, so that only connections are counted")
	settle := f.Duration("settle", 3*time.Second, "time for the relay to give back what logins took")
	f.Parse(args)
	atOnce(*warm, 4, func(int) { mustLogin().Close() })
	time.Sleep(*settle)
	before := readUsage()
	clients := make([]*rawClient, *n)
	atOnce(*n, 8, func(i int) { clients[i] = mustRawLogin() })
	peak := readUsage()
	time.Sleep(*settle)
	after := readUsage()
	for _, c := range clients {
		c.conn.SetReadDeadline(time.Now().Add(time.Millisecond))
		if _, err := c.in.ReadByte(); err != nil {
			if timeout, ok := err.(interface{ Timeout() bool }); !ok || !timeout.Timeout() {
				log.Fatal("the relay ended an idle client: ", err)
			}
		}
		break
	}
	return result{
		"n": *n, "rss_before_mb": float64(before.rss) / 1e6, "rss_after_mb": float64(after.rss) / 1e6,
		"rss_peak_mb": float64(peak.rss) / 1e6,
		"kb_per_conn": float64(after.rss-before.rss) / float64(*n) / 1e3,
	}
}

func logins(args []string) result {
	f := flags("logins")
	n := f.Int("n", 1000, "logins")
	c := f.Int("c", 16, "of them at once")
	f.Parse(args)
	took := make([]time.Duration, *n)
	before := readUsage()
	atOnce(*n, *c, func(i int) {
		start := time.Now()
		c, err := login(key.NewNode())
		if err != nil {
			log.Fatal(err)
		}
		took[i] = time.Since(start)
		c.Close()
	})
	after := readUsage()
	r := result{"n": *n}
	after.since(before, 0, r)
	r["logins_s"] = float64(*n) / after.at.Sub(before.at).Seconds()
	r["relay_cpu_ms_per_login"] = (after.cpu - before.cpu).Seconds() * 1e3 / float64(*n)
	percentiles(took, r)
	return r
}
