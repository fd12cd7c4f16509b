// What the real Go makes of a pattern: JSON lines in, JSON lines out.
package main

import (
	"bufio"
	"encoding/json"
	"os"
	"regexp"
)

type question struct {
	Pattern  []byte // base64 in JSON, as all bytes are
	Input    []byte
	Template []byte
}

type answer struct {
	Error    string
	Match    bool
	Replaced []byte
}

func main() {
	lines := bufio.NewReader(os.Stdin)
	answers := json.NewEncoder(os.Stdout)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		var asked question
		if err := json.Unmarshal(line, &asked); err != nil {
			panic(err)
		}
		expression, err := regexp.Compile(string(asked.Pattern))
		if err != nil {
			answers.Encode(answer{Error: err.Error()})
			continue
		}
		answers.Encode(answer{
			Match:    expression.Match(asked.Input),
			Replaced: expression.ReplaceAll(asked.Input, asked.Template),
		})
	}
}
