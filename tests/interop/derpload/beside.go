package main

import (
	"bufio"
	"encoding/json"
	"io"
	"log"
	"os"
	"os/exec"
	"strconv"
	"time"
)

// companion is this program once more, sending in bulk while the first one measures something else:
// in a process of its own, so that the kernel shares the cores between them and the one that
// measures does not wait for the other's goroutines.
type companion struct {
	process *exec.Cmd
	stdin   io.Closer
	out     *bufio.Reader
}

// startBeside starts n pairs with a window, 0 for none. Nothing for no pairs.
func startBeside(n, window int) *companion {
	if n == 0 {
		return nil
	}
	program, err := os.Executable()
	if err != nil {
		log.Fatal(err)
	}
	args := []string{"-url", *relayURL, "beside", "-n", strconv.Itoa(n), "-window", strconv.Itoa(window)}
	if *spread {
		args = append([]string{"-spread"}, args...)
	}
	c := &companion{process: exec.Command(program, args...)}
	c.process.Stderr = os.Stderr
	stdin, err := c.process.StdinPipe()
	if err != nil {
		log.Fatal(err)
	}
	stdout, err := c.process.StdoutPipe()
	if err != nil {
		log.Fatal(err)
	}
	c.stdin, c.out = stdin, bufio.NewReader(stdout)
	if err := c.process.Start(); err != nil {
		log.Fatal(err)
	}
	if _, err := c.out.ReadString('\n'); err != nil {
		log.Fatal("the load beside did not come up")
	}
	return c
}

// end stops it; what it has done.
func (c *companion) end() map[string]float64 {
	c.stdin.Close()
	did := map[string]float64{}
	line, err := c.out.ReadBytes('\n')
	if err != nil || json.Unmarshal(line, &did) != nil {
		log.Fatal("the load beside failed")
	}
	c.process.Wait()
	return did
}

// beside is the mode of such a process: says "ready", sends until its input ends, and reports.
func beside(args []string) result {
	f := flags("beside")
	n := f.Int("n", 1, "pairs")
	window := f.Int("window", 128, "packets of a pair in flight, 0 for no bound")
	f.Parse(args)
	l := startBulk(*n, 1312, 16, *window, "")
	time.Sleep(500 * time.Millisecond)
	os.Stdout.WriteString("ready\n")
	start, sent, received := time.Now(), l.sent(), l.received()
	io.Copy(io.Discard, os.Stdin)
	wall := time.Since(start).Seconds() * 1e3
	line, _ := json.Marshal(map[string]float64{
		"kpps": float64(l.received()-received) / wall, "sent_kpps": float64(l.sent()-sent) / wall,
	})
	os.Stdout.Write(append(line, '\n'))
	os.Exit(0)
	return nil
}
